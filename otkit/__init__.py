"""otkit: multilingual encoders that agree across languages, by optimal transport.

Fine-tune an encoder so that translated sentences get the same cloud of word vectors (`otkit align`), look at the
transport plans (`otkit show-alignment`), and measure and ship the result. Importing this package imports nothing heavy.

Shape letters, the same in every file:

    B  sentence pairs in a batch        D  width of a vector
    N  source units (words, subwords)   T  subword tokens of a padded sentence
    M  target units                     W  words of a padded sentence
    K  layers or neighbours
"""

__version__ = "0.1.0"
