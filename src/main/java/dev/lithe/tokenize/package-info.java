/// Text to token ids and back, by the checkpoint's own `tokenizer.json`.
@NullMarked
package dev.lithe.tokenize;

import org.jspecify.annotations.NullMarked;
