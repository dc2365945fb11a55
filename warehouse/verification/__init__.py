"""The lake and the published file beside each other: is the lake whole, and is the file what it was made of?"""
