/// What a checkpoint means: its [dev.lithe.model.ModelSpec], the names of its tensors, the forms a
/// [dev.lithe.model.Linear] can take, and the forward pass ([dev.lithe.model.Decoder]).
@NullMarked
package dev.lithe.model;

import org.jspecify.annotations.NullMarked;
