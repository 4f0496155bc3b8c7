"""The special pieces, which every vocabulary has at the same ids.

Source: reference, README, "Data preprocessing".
"""

UNK, BOS, EOS, CLS, SEP, PAD, MASK, EOD, EOP = range(9)
SPECIAL_PIECES = ("<unk>", "<s>", "</s>", "<cls>", "<sep>", "<pad>", "<mask>", "<eod>", "<eop>")  # by id
PARAGRAPH_END = SPECIAL_PIECES[EOP]  # the only one that text may hold: it is a mark, its characters are no text
