"""What evaluations of fine-tuned models tell: scores, calibration, confusions, errors; and a page about them."""
