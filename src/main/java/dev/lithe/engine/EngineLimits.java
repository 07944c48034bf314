package dev.lithe.engine;

import com.sun.management.OperatingSystemMXBean;
import dev.lithe.fault.LitheException;
import java.lang.management.ManagementFactory;
import java.time.Duration;

/// What the engine takes on at once.
///
/// @param queue requests that wait; one more is refused
/// @param running sequences of one model that are computed together, each with a key-value cache of
///   its own
/// @param cacheBytes memory of all key-value caches together, those kept for prompts that begin
///   alike included; a request that does not fit waits, one that never will is refused
/// @param stall how long a reader may take nothing before its sequence is dropped
/// @param prefillChunk most tokens of prompts in one forward pass; 0 lets the engine measure what
///   keeps others waiting for a decode step or two only
/// @param reusePrefixes whether a prompt that begins as an earlier one takes its keys and values
public record EngineLimits(
        int queue,
        int running,
        long cacheBytes,
        Duration stall,
        int prefillChunk,
        boolean reusePrefixes) {
    /// 256 waiting requests, 32 running ones of each model, in a quarter of the machine's memory.
    public static final EngineLimits DEFAULT =
            new EngineLimits(256, 32, physicalMemory() / 4, Duration.ofSeconds(60));

    public EngineLimits {
        if (queue < 1 || running < 1 || cacheBytes < 1 || stall.isNegative() || stall.isZero()) {
            throw LitheException.badInput(
                    "engine limits queue=%d running=%d cacheBytes=%d stall=%s; each must be positive",
                    queue, running, cacheBytes, stall);
        }
        if (prefillChunk < 0) {
            throw LitheException.badInput(
                    "a prefill chunk of %d tokens; use 1 or more, or 0 to have it measured",
                    prefillChunk);
        }
    }

    /// A measured prefill chunk, and prompts that begin alike share.
    public EngineLimits(int queue, int running, long cacheBytes, Duration stall) {
        this(queue, running, cacheBytes, stall, 0, true);
    }

    /// With another prefill chunk.
    public EngineLimits withPrefillChunk(int tokens) {
        return new EngineLimits(queue, running, cacheBytes, stall, tokens, reusePrefixes);
    }

    /// With every prompt computed from its start, or not.
    public EngineLimits withReusePrefixes(boolean reuse) {
        return new EngineLimits(queue, running, cacheBytes, stall, prefillChunk, reuse);
    }

    private static long physicalMemory() {
        return ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class)
                .getTotalMemorySize();
    }
}
