using System.Diagnostics;
using Cnvm.Nested;

namespace Cnvm.Guest.Tests;

/// <summary>The self-checking programs of Programs/, compiled on this machine, as a disk that a guest unpacks with tar.</summary>
internal static class GuestPrograms
{
    private static readonly Lazy<string> Folder = new(Build);
    private static readonly Lazy<string> Toolchain = new(BuildToolchain);
    private static readonly Lazy<string> Fio = new(BuildFio);

    /// <summary>Where <see cref="MountFioAsync"/> puts it in a guest: a root directory to change into.</summary>
    public const string FioFolder = "/run/fio";

    /// <summary>The compiled self-check on this machine.</summary>
    public static string SelfCheck => Path.Combine(Folder.Value, "selfcheck");

    /// <summary>Puts the disk into a directory of the host and returns the value of --disk. Skips the test when there is no compiler.</summary>
    public static async Task<string> AddDiskAsync(ScratchDirectory scratch, GuestHost host)
    {
        Skip.If(!HasCompiler(), "gcc is not installed: 'make deps' installs it");
        await scratch.MakeFileAsync("programs", "0");
        await host.Commands.CopyToAsync(Path.Combine(Folder.Value, "programs.tar"), scratch.Path + "/programs");
        return $"path={scratch.Path}/programs,image_type=raw,readonly=on";
    }

    /// <summary>
    /// Puts a disk with this machine's C compiler, and what it needs to compile the self-check, into a directory of the host and returns
    /// the value of --disk: an ext4 file system to change root into, with the source in /src and an empty directory /out.
    /// </summary>
    public static async Task<string> AddToolchainAsync(ScratchDirectory scratch, GuestHost host)
    {
        Skip.If(!HasCompiler(), "gcc is not installed: 'make deps' installs it");
        await scratch.MakeFileAsync("toolchain", "0");
        await host.Commands.CopyToAsync(Toolchain.Value, scratch.Path + "/toolchain");
        return $"path={scratch.Path}/toolchain,image_type=raw,readonly=on";
    }

    /// <summary>Puts a disk with this machine's fio and its libraries into a directory of the host and returns the value of --disk.</summary>
    public static async Task<string> AddFioAsync(ScratchDirectory scratch, GuestHost host)
    {
        Skip.If(!HasProgram("fio"), "fio is not installed: 'make deps' installs it");
        await scratch.MakeFileAsync("fio", "0");
        await host.Commands.CopyToAsync(Fio.Value, scratch.Path + "/fio");
        return $"path={scratch.Path}/fio,image_type=raw,readonly=on";
    }

    /// <summary>Makes that disk's fio run in the guest.</summary>
    /// <param name="guest">The guest.</param>
    /// <param name="device">The disk's name there, such as vdc.</param>
    public static Task MountFioAsync(GuestVm guest, string device) => guest.AskAsync(
        $"mkdir -p {FioFolder} && mount -o ro -t ext4 /dev/{device} {FioFolder} && mount -o bind /dev {FioFolder}/dev && chroot {FioFolder} /usr/bin/fio --version");

    /// <summary>Puts one of the programs into a directory of the host and returns its path there.</summary>
    public static async Task<string> AddToHostAsync(ScratchDirectory scratch, GuestHost host, string name)
    {
        Skip.If(!HasCompiler(), "gcc is not installed: 'make deps' installs it");
        await scratch.MakeFileAsync(name, "0");
        string path = $"{scratch.Path}/{name}";
        await host.Commands.CopyToAsync(Path.Combine(Folder.Value, name), path);
        (await host.RunAsync($"chmod 755 {path}")).OrThrow();
        return path;
    }

    /// <summary>Unpacks the disk into /run of the guest.</summary>
    /// <param name="guest">The guest.</param>
    /// <param name="device">The disk's name there, such as vdb.</param>
    public static Task UnpackAsync(GuestVm guest, string device) => guest.AskAsync($"tar -xf /dev/{device} -C /run");

    /// <summary>Runs a program on this machine that must succeed, and returns its output.</summary>
    public static string Output(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        Task<string> error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"{program} failed: {error.Result}{output}");
        return output;
    }

    /// <summary>Flags of the compiler for the self-check: no instructions beyond SSE2 unless the program asks the processor.</summary>
    public static string[] CompilerFlags => ["-O2", "-fno-math-errno", "-static", "-pthread", "-Wall", "-Wextra"];

    public static string Source(string name) => Path.Combine(Repository.Root, "tests", "Cnvm.Guest.Tests", "Programs", name);

    private static bool HasCompiler() => HasProgram("gcc");

    private static bool HasProgram(string name) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(d => File.Exists(Path.Combine(d, name)));

    private static string Build()
    {
        // Kept until this process ends, and removed then or by the next one.
        var directory = new TemporaryDirectory(Path.GetTempPath(), "cnvm-programs-");
        AppDomain.CurrentDomain.ProcessExit += (_, _) => directory.Dispose();
        foreach (string program in (string[])["selfcheck", "steady", "vsockcheck", "fscheck"])
        {
            Output("gcc", [.. CompilerFlags, "-o", directory.File(program), Source(program + ".c")]);
        }

        File.Copy(Source("load.sh"), directory.File("load.sh"));
        Output("tar", "-cf", directory.File("programs.tar"), "-C", directory.Path, "selfcheck", "steady", "vsockcheck", "load.sh");
        return directory.Path;
    }

    private static string BuildToolchain() => BuildRoot(
        "toolchain",
        160,
        $$"""
        programs=(/usr/bin/gcc "$(gcc -print-prog-name=cc1)" "$(gcc -print-prog-name=collect2)" /usr/bin/as /usr/bin/ld)
        {
            printf '%s\n' "${programs[@]}"
            for program in "${programs[@]}"; do ldd "$program" | grep -o '/[^ ]*'; done
            for file in crt1.o crti.o crtn.o crtbeginT.o crtend.o libc.a libgcc.a libgcc_eh.a libpthread.a liblto_plugin.so; do gcc -print-file-name=$file; done
            gcc -print-prog-name=lto-wrapper
            gcc {{string.Join(' ', CompilerFlags)}} -M "$3" | tr -s ' \\' '\n' | grep ^/usr
        } | add
        mkdir -p "$1/src" "$1/out" "$1/tmp"
        cp "$3" "$1/src/"
        """,
        Source("selfcheck.c"));

    private static string BuildFio() => BuildRoot(
        "fio",
        128,
        """
        { command -v fio; ldd "$(command -v fio)" | grep -o '/[^ ]*'; } | add
        mkdir -p "$1/dev"
        """);

    /// <summary>Makes an ext4 image of a folder that a script fills.</summary>
    /// <param name="script">The folder is $1, what follows begins with $3; "add" takes names of files, one a line.</param>
    private static string BuildRoot(string name, int mebibytes, string script, params string[] arguments)
    {
        string tree = Path.Combine(Folder.Value, name);
        string image = tree + ".ext4";
        Directory.CreateDirectory(tree);
        string all = $$"""
            set -euo pipefail
            PATH=$PATH:/usr/sbin:/sbin
            add() { sort -u | tar -chf - -T - -P | tar -xf - -C "$folder" --transform 's,^/*,,' -P; }
            folder=$1
            {{script}}
            mke2fs -q -t ext4 -d "$1" "$2" {{mebibytes}}M
            """;
        Output("bash", ["-c", all, name, tree, image, .. arguments]);
        Directory.Delete(tree, recursive: true);
        return image;
    }
}
