"""Pixel statistics of CLIP's towers (Radford et al. 2021): mean and deviation of red, green and blue, in 0 to 1."""

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
