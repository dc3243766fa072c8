using System.Diagnostics;
using Cnvm.Nested;

namespace Cnvm.Guest.Tests;

/// <summary>The self-checking programs of Programs/, compiled on this machine, as a disk that a guest unpacks with tar.</summary>
internal static class GuestPrograms
{
    private static readonly Lazy<string> Folder = new(Build);
    private static readonly Lazy<string> Toolchain = new(BuildToolchain);

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

    private static bool HasCompiler() =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(d => File.Exists(Path.Combine(d, "gcc")));

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

    private static string BuildToolchain()
    {
        string tree = Path.Combine(Folder.Value, "toolchain");
        string image = tree + ".ext4";
        Directory.CreateDirectory(tree);
        string script = $$"""
            set -euo pipefail
            PATH=$PATH:/usr/sbin:/sbin
            programs=(/usr/bin/gcc "$(gcc -print-prog-name=cc1)" "$(gcc -print-prog-name=collect2)" /usr/bin/as /usr/bin/ld)
            {
                printf '%s\n' "${programs[@]}"
                for program in "${programs[@]}"; do ldd "$program" | grep -o '/[^ ]*'; done
                for file in crt1.o crti.o crtn.o crtbeginT.o crtend.o libc.a libgcc.a libgcc_eh.a libpthread.a liblto_plugin.so; do gcc -print-file-name=$file; done
                gcc -print-prog-name=lto-wrapper
                gcc {{string.Join(' ', CompilerFlags)}} -M "$1" | tr -s ' \\' '\n' | grep ^/usr
            } | sort -u | tar -chf - -T - -P | tar -xf - -C "$2" --transform 's,^/*,,' -P
            mkdir -p "$2/src" "$2/out" "$2/tmp"
            cp "$1" "$2/src/"
            mke2fs -q -t ext4 -d "$2" "$3" 160M
            """;
        Output("bash", "-c", script, "toolchain", Source("selfcheck.c"), tree, image);
        Directory.Delete(tree, recursive: true);
        return image;
    }
}
