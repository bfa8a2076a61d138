"""Where everything lies that the plan `sequence` keeps in device memory. Plain numbers: the kernels ask the same methods.

  Weights (weight rows, C): the matrices one below another, each row as wide as the model, padded to C with zeros: positions,
    tokens, logits; then for each layer Q, K, V, the output projection transposed, the MLP's first matrix, its second
    transposed. Q, K, V and the output have tile_d rows a head. A segment is a whole number of tiles; what no parameter lies
    in stays 0.
  Left (rows, weight rows): for each row of Weights a column, whose product with a block of Right is its gradient.
  Right (rows, blocks * C): blocks as wide as the model.
  Heads (rows, layers * 4 * attention): Q, K, V and the gradient of the attention's output.
  Terms (terms, rows): a number for each row: the factors of every normalisation, and every head's log-sum-exp.

rows: batch documents of `positions` each.
"""

from dataclasses import dataclass

# Blocks of Right: four a layer, then those of the whole model.
ATTENTION_IN, ATTENTION_OUT, MLP_IN, MLP_OUT = 0, 1, 2, 3
HEAD_IN, EMBEDDING_OUT, EMBEDDED, STREAM, MIDDLE = 0, 1, 2, 3, 4
NUM_OF_LAYER, NUM_OF_MODEL = 4, 5

# Segments of a layer, in Heads (the last for its gradient) and at the beginning of the layer's rows of Weights.
QUERIES, KEYS, VALUES, OUTPUTS = 0, 1, 2, 3


@dataclass(frozen=True)
class Layout:
    """Sizes of a model and its batch, and what follows for the arrays.

    Attributes:
        layers: Of the model.
        heads: Of the model.
        width: Elements of a token's vector.
        vocab: Tokens.
        batch: Documents of a step.
        positions: Of a document, in whole tiles.
        tile_c: Width rounded up to a power of two.
        tile_d: Elements of a head, likewise.
        tile_v: Tokens, likewise.
        unit: Every segment is a multiple of it, and it of every tile's rows and columns.
    """

    layers: int
    heads: int
    width: int
    vocab: int
    batch: int
    positions: int
    tile_c: int
    tile_d: int
    tile_v: int
    unit: int

    def whole(self, size: int) -> int:
        """`size` in whole units."""
        return (size + self.unit - 1) // self.unit * self.unit

    def attention(self) -> int:
        """Rows of Q, of K, and of V in a layer."""
        return self.whole(self.heads * self.tile_d)

    def hidden(self) -> int:
        """Rows of the MLP's first matrix."""
        return self.whole(4 * self.width)

    def tokens(self) -> int:
        """First row of the tokens' vectors; those of the positions are before."""
        return self.whole(self.positions)

    def logits(self) -> int:
        """First row of the matrix of the logits."""
        return self.tokens() + self.whole(self.vocab)

    def layer_rows(self) -> int:
        """Rows of a layer."""
        return 4 * self.attention() + 2 * self.hidden()

    def layer(self, number: int) -> int:
        """First row of a layer, and of Q in it."""
        return self.logits() + self.whole(self.vocab) + number * self.layer_rows()

    def output(self, number: int) -> int:
        """First row of a layer's output projection, transposed."""
        return self.layer(number) + OUTPUTS * self.attention()

    def first(self, number: int) -> int:
        """First row of the first matrix of a layer's MLP."""
        return self.layer(number) + 4 * self.attention()

    def second(self, number: int) -> int:
        """First row of the second matrix of a layer's MLP, transposed."""
        return self.first(number) + self.hidden()

    def of_model(self, block: int) -> int:
        """Number of a block of Right that belongs to no layer."""
        return NUM_OF_LAYER * self.layers + block

    def in_heads(self, layer: int, which: int) -> int:
        """First column of Heads of a layer's Q, K, V or gradient of the output."""
        return (4 * layer + which) * self.attention()

    def log_sum_exp(self, layer: int, head: int) -> int:
        """Row of Terms with a head's log-sum-exp; that of a factor is the number of the normalisation."""
        return 2 * self.layers + 1 + layer * self.heads + head

    def scale(self) -> float:
        """Of a head's scores."""
        return (self.width // self.heads) ** -0.5  # type: ignore[no-any-return]
