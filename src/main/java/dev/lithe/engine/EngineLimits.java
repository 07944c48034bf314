package dev.lithe.engine;

import com.sun.management.OperatingSystemMXBean;
import dev.lithe.fault.LitheException;
import java.lang.management.ManagementFactory;
import java.time.Duration;

/// What the engine takes on at once.
///
/// @param queue requests that wait; one more is refused
/// @param running sequences that progress in turn, each with a key-value cache of its own
/// @param cacheBytes memory of all key-value caches together; a request that does not fit waits,
///   one that never will is refused
/// @param stall how long a reader may take nothing before its sequence is dropped
public record EngineLimits(int queue, int running, long cacheBytes, Duration stall) {
    /// 256 waiting and 8 running requests in a quarter of the machine's memory.
    public static final EngineLimits DEFAULT =
            new EngineLimits(256, 8, physicalMemory() / 4, Duration.ofSeconds(60));

    public EngineLimits {
        if (queue < 1 || running < 1 || cacheBytes < 1 || stall.isNegative() || stall.isZero()) {
            throw LitheException.badInput(
                    "engine limits queue=%d running=%d cacheBytes=%d stall=%s; each must be positive",
                    queue, running, cacheBytes, stall);
        }
    }

    private static long physicalMemory() {
        return ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class)
                .getTotalMemorySize();
    }
}
