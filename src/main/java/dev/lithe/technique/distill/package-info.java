/// Techniques that train ([dev.lithe.technique.Family#DISTILLATION]): what compression broke is
/// learned again from the model that it began with. The numerical code is `student.py`, `losses.py`
/// and `train.py`; the loop around it is [dev.lithe.technique.distill.Training].
@NullMarked
package dev.lithe.technique.distill;

import org.jspecify.annotations.NullMarked;
