using System.Diagnostics;
using Cnvm.Nested;
using Cnvm.Sandbox;

namespace Cnvm.Guest.Tests.Soft;

/// <summary>A root file system of busybox and what sandboxes are made of, on this machine with the software vCPU.</summary>
public sealed class SandboxFixture : IDisposable
{
    private const string Busybox = "/bin/busybox";
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(5);
    private readonly TemporaryDirectory _folder = new(Path.GetTempPath(), "cnvm-sandbox-");

    public SandboxFixture()
    {
        Rootfs = Directory.CreateDirectory(_folder.File("rootfs")).FullName;
        if (!File.Exists(Busybox))
        {
            return;
        }

        foreach (string name in (string[])["bin", "etc", "tmp", "proc", "sys", "dev"])
        {
            Directory.CreateDirectory(Path.Combine(Rootfs, name));
        }

        File.Copy(Busybox, Path.Combine(Rootfs, "bin", "busybox"));
        foreach (string name in (string[])["sh", "cat", "echo", "id", "sleep", "stty", "date", "kill", "mount", "ls", "nc", "awk", "tr"])
        {
            File.CreateSymbolicLink(Path.Combine(Rootfs, "bin", name), "busybox");
        }
    }

    public string Rootfs { get; }

    /// <summary>Where programs that are started find images and sandboxes.</summary>
    public string Runtime => Directory.CreateDirectory(
        _folder.File("run"), UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute).FullName;

    public static string Kernel => Path.Combine(Repository.Images, "vmlinux-small");

    public static string Initramfs => Path.Combine(Repository.Images, "sandbox-initramfs.cpio");

    public static string Vmm => Environment.GetEnvironmentVariable("CNVM_VMM") ?? Path.Combine(Repository.Root, "out", "bin", "cnvm-vmm");

    public static string Cli => Environment.GetEnvironmentVariable("CNVM_CLI") ?? Path.Combine(Repository.Root, "out", "bin", "cnvm");

    public SandboxOptions Options => new()
    {
        VmmPath = Vmm, Kernel = Kernel, Initramfs = Initramfs, Hypervisor = "soft", MemoryBytes = 256L << 20, StartTimeout = Limit,
        Folder = _folder.File(Path.GetRandomFileName()),
    };

    public static void SkipWithout(params string[] files)
    {
        foreach (string file in (string[])[Kernel, Initramfs, Vmm, Busybox, .. files])
        {
            Skip.IfNot(File.Exists(file), $"{file} is missing ('make build images', and Debian's busybox-static)");
        }
    }

    public string PathOf(string name) => _folder.File(name);

    /// <summary>Starts a program of this machine, whose streams are pipes.</summary>
    public Process Start(string program, params string[] arguments) => Process.Start(new ProcessStartInfo(program, arguments)
    {
        RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true,
        Environment = { ["CNVM_RUNTIME_DIR"] = Runtime, ["CNVM_VMM"] = Vmm, ["CNVM_IMAGES"] = Repository.Images, ["CNVM_CACHE"] = _folder.File("cache") },
    })!;

    /// <summary>Runs a program of this machine to its end.</summary>
    public (int ExitCode, string Output, string Error) Run(string program, string? input, params string[] arguments)
    {
        using Process process = Start(program, arguments);
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> error = process.StandardError.ReadToEndAsync();
        process.StandardInput.Write(input);
        process.StandardInput.Close();
        bool ended = process.WaitForExit(Limit);
        if (!ended)
        {
            process.Kill(entireProcessTree: true);
        }

        Assert.True(ended, $"{program} {string.Join(' ', arguments)} did not end in {Limit}");
        return (process.ExitCode, output.Result, error.Result);
    }

    public void Dispose() => _folder.Dispose();
}
