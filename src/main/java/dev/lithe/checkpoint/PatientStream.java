package dev.lithe.checkpoint;

import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.time.Duration;

/// A stream from the network that is given up where a read waits too long for a byte. The time
/// between reads does not count: the disk may be slow.
final class PatientStream extends FilterInputStream {
    private static final long IDLE = Long.MAX_VALUE;

    private final Duration patience;
    private final long opened = System.nanoTime();
    private final Thread watch;

    /// When the read that waits now began, in nanoseconds since this was opened.
    private volatile long began = IDLE;

    private volatile boolean stalled;

    PatientStream(InputStream in, Duration patience) {
        super(in);
        this.patience = patience;
        this.watch = Thread.ofVirtual().start(this::watch);
    }

    private void watch() {
        try {
            while (true) {
                long since = began;
                long waits = since == IDLE ? 0 : System.nanoTime() - opened - since;
                if (waits >= patience.toNanos()) {
                    stalled = true;
                    in.close();
                    return;
                }
                Thread.sleep(patience.minusNanos(waits));
            }
        } catch (InterruptedException | IOException _) {
            // closed
        }
    }

    @Override
    public int read() throws IOException {
        byte[] one = new byte[1];
        return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
    }

    @Override
    public int read(byte[] bytes, int offset, int length) throws IOException {
        began = System.nanoTime() - opened;
        try {
            return in.read(bytes, offset, length);
        } catch (IOException e) {
            if (stalled) {
                throw new IOException("no byte came for " + patience.toSeconds() + " s", e);
            }
            throw e;
        } finally {
            began = IDLE;
        }
    }

    @Override
    public void close() throws IOException {
        watch.interrupt();
        in.close();
    }
}
