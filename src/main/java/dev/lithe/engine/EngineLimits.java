package dev.lithe.engine;

import dev.lithe.fault.LitheException;
import java.time.Duration;

/// What the engine takes on at once.
///
/// @param queue requests that wait; one more is refused
/// @param running sequences that progress in turn, each with a key-value cache of its own
/// @param stall how long a reader may take nothing before its sequence is dropped
public record EngineLimits(int queue, int running, Duration stall) {
    public static final EngineLimits DEFAULT = new EngineLimits(256, 8, Duration.ofSeconds(60));

    public EngineLimits {
        if (queue < 1 || running < 1 || stall.isNegative() || stall.isZero()) {
            throw LitheException.badInput(
                    "engine limits queue=%d running=%d stall=%s; each must be positive",
                    queue, running, stall);
        }
    }
}
