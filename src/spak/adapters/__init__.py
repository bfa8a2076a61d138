"""Other people's tuners: what they are about to try, sifted and ordered by laws; what they measured, as evidence here.

One module for each tuner, on the public face of `spak` alone; `advice` holds what all of them need.
"""
