"""Result cards and shipped weights, made again by `python -m posenb table` and `train`."""
