package dev.lithe.evaluate;

import dev.lithe.model.Decoder;

/// A model under measurement.
///
/// @param name what reports and errors call it
public record Subject(String name, Decoder decoder) {}
