package dev.lithe.serve;

import java.lang.System.Logger.Level;
import java.lang.management.ManagementFactory;
import java.util.Locale;

/// Tells the log how long each phase of a start took.
final class StartUp {
    private static final System.Logger LOG = System.getLogger("dev.lithe.start");

    private long before;

    /// @param uptime milliseconds that the process had run when its command line was read
    StartUp(long uptime) {
        before = uptime;
        log("virtual machine and command line", uptime);
    }

    /// Ends a phase, and begins the next.
    void done(String phase) {
        long now = ManagementFactory.getRuntimeMXBean().getUptime();
        log(phase, now - before);
        before = now;
    }

    private static void log(String phase, long millis) {
        LOG.log(
                Level.INFO,
                String.format(
                        Locale.ROOT,
                        "start-up: %s in %d ms, %d ms in all",
                        phase,
                        millis,
                        ManagementFactory.getRuntimeMXBean().getUptime()));
    }
}
