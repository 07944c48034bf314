/// What data-aware techniques look at: a [dev.lithe.calibrate.CalibrationSet] of token windows, and
/// the [dev.lithe.calibrate.SequentialPass] that carries them through the model block by block,
/// each block compressed before the next one sees its outputs. Why so: a technique that corrects
/// its error must meet the inputs that the compressed model will meet, and one block in memory is
/// enough for that.
@NullMarked
package dev.lithe.calibrate;

import org.jspecify.annotations.NullMarked;
