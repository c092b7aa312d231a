"""Does the fleet's memory agree with itself, with the bucket, and with what is stored there?"""
