"""The four symbols that every AutoMoE vocabulary begins with, at the same ids."""

BOS = 0
"""`<s>`, unused by the models; the place is kept because fairseq expects it there."""
PAD = 1
"""`<pad>`, fills the shorter sentences of a batch; never generated."""
EOS = 2
"""`</s>`, ends a sentence; also the first input of the decoder."""
UNK = 3
"""`<unk>`, what the vocabulary cannot spell."""
