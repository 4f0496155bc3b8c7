"""A text that is read on and on: keys and values of what was read are kept, and nothing is read twice.

What is kept are the projections of what training keeps as memory, so a step costs the same however long the text is.
A model that reads from left to right says from its last position what comes next; one that was trained on
permutations is asked through its query stream at the place after it, in the order of the text.
Source: Dai et al. 2019, section 3.2; Yang et al. 2019, sections 2.2 and 2.4.
"""

from typing import Any

import keras
from keras import ops

from xlnet.model.attention import View
from xlnet.model.backbone import Backbone
from xlnet.model.heads import LanguageModelHead
from xlnet.model.positions import distance_table
from xlnet.model.visibility import causal, content_view, over_keys


class ReadText(keras.layers.Layer):
    """What is kept of the last `memory_length` pieces of some rows of text, `longest` of which are read at a time.

    `keys` and `values` [H, 1, rows, memory_length, d] a layer; `held`, how many of them hold something.
    """

    def __init__(self, backbone: Backbone, *, rows: int, memory_length: int, longest: int):
        super().__init__(name="read_text", dtype=backbone.dtype_policy)
        config = backbone.config
        self.rows, self.memory_length, self.longest = rows, memory_length, longest
        shape = (config.heads, 1, rows, memory_length, config.head_dim)
        kept = {"initializer": "zeros", "trainable": False, "dtype": backbone.compute_dtype}
        self.keys = [self.add_weight(name=f"keys_{layer}", shape=shape, **kept) for layer in range(config.layers)]
        self.values = [self.add_weight(name=f"values_{layer}", shape=shape, **kept) for layer in range(config.layers)]
        self.held = self.add_weight(name="held", shape=(), initializer="zeros", trainable=False, dtype="int32")
        table = distance_table(
            longest, memory_length, config.model_dim, attention="uni", clamp_length=config.clamp_length
        )
        halves = tuple(ops.cast(half, backbone.compute_dtype) for half in table)
        self.distant = []
        for layer, block in enumerate(backbone.blocks):
            projected = block.position_keys(halves)
            weight = self.add_weight(name=f"distant_{layer}", shape=projected.shape, **kept)
            weight.assign(projected)
            self.distant.append(weight)
        self.built = True

    def forget(self) -> None:
        """As if nothing had been read; what is kept is not looked at then."""
        self.held.assign(0)


class Continuation(keras.Model):
    """Reads `length` pieces more of each row, int [rows, length] -> float32 logits of what follows [rows, vocab].

    Those that share a `ReadText` read the same text. `predict_on_batch` runs it as one compiled program.
    """

    def __init__(self, backbone: Backbone, head: LanguageModelHead, text: ReadText, *, length: int):
        super().__init__(name=f"reads_{length}")
        if backbone.directions != 1 or length > text.longest:
            raise ValueError(f"{backbone.directions} directions, {length} pieces of {text.longest}")
        self.backbone, self.head, self.text, self.length = backbone, head, text, length
        self.built = True  # all weights exist

    def call(self, pieces: Any) -> Any:
        """See the class."""
        backbone, text = self.backbone, self.text
        content_sight, query_sight = self._views()
        asks = backbone.config.attention == "bi"
        content = ops.take(ops.convert_to_tensor(backbone.word_embedding), pieces, axis=0)
        content = ops.cast(content, backbone.compute_dtype)
        query = None
        if asks:
            shape = (text.rows, 1, backbone.config.model_dim)
            query = ops.cast(ops.broadcast_to(ops.convert_to_tensor(backbone.mask_embedding), shape), content.dtype)
        for layer, block in enumerate(backbone.blocks):
            new_keys, new_values = block.keys_and_values(content)
            keys = ops.concatenate([ops.convert_to_tensor(text.keys[layer]), new_keys], axis=3)
            values = ops.concatenate([ops.convert_to_tensor(text.values[layer]), new_values], axis=3)
            text.keys[layer].assign(keys[:, :, :, self.length :])
            text.values[layer].assign(values[:, :, :, self.length :])
            content, query = self._layer(
                block,
                content,
                query,
                keys=keys,
                values=values,
                distant=self._distant(layer),
                biases=backbone.layer_biases(layer),
                content_view=content_sight,
                query_view=query_sight,
                content_wanted=not asks or layer + 1 < len(backbone.blocks),
            )
        text.held.assign(ops.minimum(ops.convert_to_tensor(text.held) + self.length, text.memory_length))
        return self.head.logits(query if asks else content[:, -1:])[:, 0]

    def _layer(self, block: Any, content: Any, query: Any, **about: Any) -> tuple[Any, Any]:
        found = block.attend(content, query, **about)
        return found[0], None if query is None else found[-1]

    def _views(self) -> tuple[View, View]:
        """Of the content stream, and of a query stream at the place that comes next, which sees all there is."""
        text, length = self.text, self.length
        place = ops.arange(text.memory_length, dtype="int32")
        unused = ops.broadcast_to(
            place < text.memory_length - ops.convert_to_tensor(text.held), (1, text.memory_length)
        )
        unused = over_keys(None, unused, length=length, memory_length=text.memory_length)
        is_bounded = self.backbone.config.same_length
        content = content_view(
            None,
            None,
            padding=unused,
            history=causal(length, text.memory_length, same_length=is_bounded),
            memory_length=text.memory_length,
            directions=1,
        )
        starts = ops.zeros((1, text.rows, 1), dtype="int32")  # the greatest distance is that to the first key
        return content, View(unused[None, :, None, :], None, starts)

    def _distant(self, layer: int) -> Any:
        """The keys of the distances from `length` pieces: a part of those from the longest."""
        first = self.text.longest - self.length
        return ops.convert_to_tensor(self.text.distant[layer])[:, :, first:]
