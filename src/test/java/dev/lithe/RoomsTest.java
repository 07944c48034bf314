package dev.lithe;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.GeneralCodingRules.ACCESS_STANDARD_STREAMS;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;
import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.core.domain.Dependency;
import com.tngtech.archunit.core.domain.JavaAccess;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.domain.JavaPackage;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import org.jspecify.annotations.NullMarked;
import org.junit.jupiter.api.Test;

/// The rooms of the program: each uses only those named before it, and what is barred from most of
/// them.
class RoomsTest {
    private static final String ROOT = "dev.lithe.";

    /// Top to bottom.
    private static final List<String> ROOMS =
            List.of(
                    "fault",
                    "tensor",
                    "checkpoint",
                    "tokenize",
                    "model",
                    "engine",
                    "calibrate",
                    "technique",
                    "evaluate",
                    "report",
                    "compress",
                    "search",
                    "export",
                    "route",
                    "serve",
                    "cli");

    /// Generated from the protocol's files, for the edges only.
    private static final String GENERATED = "proto";

    private static final List<String> EDGES = List.of("serve", "cli");

    /// Exceptions of Java that the program may throw all the same: class and reason.
    private static final Map<String, String> ALLOWED_EXCEPTIONS = Map.of();

    /// A scan that finds fewer classes than this looked in the wrong place.
    private static final int FEWEST_CLASSES = 60;

    private final JavaClasses classes =
            new ClassFileImporter()
                    .withImportOption(new ImportOption.DoNotIncludeTests())
                    .importPackages("dev.lithe");

    private Stream<JavaClass> own() {
        return classes.stream().filter(type -> !room(type).equals(GENERATED));
    }

    private static String room(JavaClass type) {
        return type.getPackageName().substring(ROOT.length()).replaceFirst("\\..*", "");
    }

    /// What follows the room's name, such as `quantize`; empty for the room itself.
    private static String corner(JavaClass type) {
        return type.getPackageName().substring((ROOT + room(type)).length());
    }

    @Test
    void theScanFindsTheProgram() {
        assertThat(own()).hasSizeGreaterThan(FEWEST_CLASSES);
        assertThat(own().map(RoomsTest::room).distinct().toList()).isSubsetOf(ROOMS);
    }

    @Test
    void eachRoomUsesOnlyThoseAboveIt() {
        assertThat(dependencies().filter(RoomsTest::climbsDown).map(Dependency::getDescription))
                .isEmpty();
    }

    private Stream<Dependency> dependencies() {
        return own().flatMap(type -> type.getDirectDependenciesFromSelf().stream())
                .filter(dependency ->
                        dependency.getTargetClass().getPackageName().startsWith(ROOT));
    }

    private static boolean climbsDown(Dependency dependency) {
        String from = room(dependency.getOriginClass());
        String to = room(dependency.getTargetClass());
        return to.equals(GENERATED)
                ? !EDGES.contains(from)
                : ROOMS.indexOf(to) > ROOMS.indexOf(from);
    }

    @Test
    void cornersOfARoomDoNotSeeEachOther() {
        assertThat(
                        dependencies()
                                .filter(RoomsTest::looksIntoACorner)
                                .map(Dependency::getDescription))
                .isEmpty();
    }

    private static boolean looksIntoACorner(Dependency dependency) {
        JavaClass from = dependency.getOriginClass();
        JavaClass to = dependency.getTargetClass();
        return room(from).equals(room(to))
                && !corner(to).isEmpty()
                && !corner(to).equals(corner(from));
    }

    @Test
    void noPackagesFormACycle() {
        slices().matching("dev.lithe.(**)").should().beFreeOfCycles().check(classes);
    }

    @Test
    void everyPackageIsNullMarked() {
        assertThat(
                        own().map(JavaClass::getPackage)
                                .distinct()
                                .filter(room -> !room.isAnnotatedWith(NullMarked.class))
                                .map(JavaPackage::getName))
                .isEmpty();
    }

    @Test
    void onlyTheCommandLineSpeaksToTheConsoleAndEndsTheProgram() {
        noClasses()
                .that()
                .resideOutsideOfPackage(ROOT + "cli..")
                .should(ACCESS_STANDARD_STREAMS)
                .orShould()
                .callMethod(System.class, "exit", int.class)
                .orShould()
                .dependOnClassesThat()
                .resideInAPackage("picocli..")
                .check(classes);
    }

    @Test
    void onlyTensorKnowsLibtorchAndOnlyTokenizeTheRestOfItsBinding() {
        noClasses()
                .that()
                .resideOutsideOfPackage(ROOT + "tensor..")
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage("ai.djl.pytorch..", "ai.djl.engine..", "ai.djl.ndarray..")
                .check(classes);
        noClasses()
                .that()
                .resideOutsideOfPackages(ROOT + "tensor..", ROOT + "tokenize..")
                .should()
                .dependOnClassesThat()
                .resideInAPackage("ai.djl..")
                .check(classes);
    }

    @Test
    void troubleIsReportedByLitheExceptionOnly() {
        List<Class<?>> barred =
                List.of(
                        RuntimeException.class,
                        IllegalArgumentException.class,
                        IllegalStateException.class,
                        Error.class,
                        AssertionError.class);
        assertThat(
                        own().filter(type -> !ALLOWED_EXCEPTIONS.containsKey(type.getName()))
                                .flatMap(type -> type.getConstructorCallsFromSelf().stream())
                                .filter(call ->
                                        barred.stream()
                                                .anyMatch(call.getTargetOwner()::isEquivalentTo))
                                .filter(RoomsTest::isNotItsOwnSuperclass)
                                .map(JavaAccess::getDescription))
                .isEmpty();
    }

    /// LitheException's constructor calls its superclass's, which is no throw.
    private static boolean isNotItsOwnSuperclass(JavaAccess<?> call) {
        return !call.getOriginOwner().getRawSuperclass().equals(Optional.of(call.getTargetOwner()));
    }
}
