/// What a compression technique is ([dev.lithe.technique.Technique]). Members live in sub-packages,
/// one class each; the `@AutoService` annotation on the class is its registration. Why so: the
/// driver needs to know only how much of the model a technique touches, so scope is sealed and
/// membership open.
@NullMarked
package dev.lithe.technique;

import org.jspecify.annotations.NullMarked;
