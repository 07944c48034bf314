/// Models in the forms that other programs load: GGUF for llama.cpp
/// ([dev.lithe.export.GgufExport]), plain safetensors ([dev.lithe.export.DenseExport]).
@NullMarked
package dev.lithe.export;

import org.jspecify.annotations.NullMarked;
