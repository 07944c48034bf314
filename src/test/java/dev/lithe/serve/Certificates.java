package dev.lithe.serve;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.util.Base64;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/// A key and a certificate that vouches for itself, made by the JDK's keytool.
record Certificates(Path certificate, Path key, KeyStore store) {
    private static final String PASSWORD = "changeit";
    private static final String ALIAS = "lithe";

    /// Writes them to `folder` as `NAME.pem` and `NAME.key`.
    static Certificates make(Path folder, String name) {
        try {
            Path file = folder.resolve(name + ".p12");
            String keytool = Path.of(System.getProperty("java.home"), "bin", "keytool").toString();
            Process process =
                    new ProcessBuilder(
                                    keytool,
                                    "-genkeypair",
                                    "-alias",
                                    ALIAS,
                                    "-keyalg",
                                    "EC",
                                    "-groupname",
                                    "secp256r1",
                                    "-validity",
                                    "2",
                                    "-dname",
                                    "CN=" + name,
                                    "-ext",
                                    "san=dns:localhost,ip:127.0.0.1",
                                    "-storetype",
                                    "PKCS12",
                                    "-storepass",
                                    PASSWORD,
                                    "-keystore",
                                    file.toString())
                            .redirectErrorStream(true)
                            .redirectOutput(folder.resolve(name + ".log").toFile())
                            .start();
            if (!process.waitFor(60, TimeUnit.SECONDS) || process.exitValue() != 0) {
                throw new AssertionError(Files.readString(folder.resolve(name + ".log")));
            }
            KeyStore store = open(folder, name).store();
            byte[] key = store.getKey(ALIAS, PASSWORD.toCharArray()).getEncoded();
            byte[] certificate = store.getCertificate(ALIAS).getEncoded();
            return new Certificates(
                    write(folder.resolve(name + ".pem"), "CERTIFICATE", certificate),
                    write(folder.resolve(name + ".key"), "PRIVATE KEY", key),
                    store);
        } catch (IOException | GeneralSecurityException e) {
            throw new AssertionError(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new AssertionError(e);
        }
    }

    /// Those that were written before.
    static Certificates open(Path folder, String name) {
        try (InputStream in = Files.newInputStream(folder.resolve(name + ".p12"))) {
            KeyStore store = KeyStore.getInstance("PKCS12");
            store.load(in, PASSWORD.toCharArray());
            return new Certificates(
                    folder.resolve(name + ".pem"), folder.resolve(name + ".key"), store);
        } catch (IOException | GeneralSecurityException e) {
            throw new AssertionError(e);
        }
    }

    private static Path write(Path file, String kind, byte[] content) throws IOException {
        String text = Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(content);
        String pem = "-----BEGIN " + kind + "-----\n" + text + "\n-----END " + kind + "-----\n";
        return Files.writeString(file, pem, StandardCharsets.US_ASCII);
    }

    /// Trusts this one, and shows that of `client`.
    SSLContext trustedBy(Certificates client) {
        try {
            KeyStore trust = KeyStore.getInstance("PKCS12");
            trust.load(null, null);
            trust.setCertificateEntry("server", store.getCertificate(ALIAS));
            var authorities =
                    TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
            authorities.init(trust);
            var keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
            keys.init(client.store, PASSWORD.toCharArray());
            SSLContext context = SSLContext.getInstance("TLS");
            context.init(keys.getKeyManagers(), authorities.getTrustManagers(), null);
            return context;
        } catch (IOException | GeneralSecurityException e) {
            throw new AssertionError(e);
        }
    }
}
