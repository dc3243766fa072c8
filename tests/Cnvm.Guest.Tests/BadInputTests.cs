using System.Diagnostics;
using Cnvm.Nested;

namespace Cnvm.Guest.Tests;

/// <summary>
/// The program itself, on this machine: whatever it is given, it says what is wrong with it, exits with 1 and leaves nothing behind.
/// </summary>
/// <param name="hypervisor">Value of --hypervisor, which goes with every command line.</param>
public abstract class BadInputTests(string hypervisor) : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(5);
    private readonly string _folder = Directory.CreateTempSubdirectory("cnvm-bad-").FullName;

    /// <summary>The test's folder, in which the program works.</summary>
    protected string Folder => _folder;

    public void Dispose()
    {
        Directory.Delete(_folder, recursive: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>@ stands for the test's folder, % for a kernel that can be read.</summary>
    [GuestTheory]
    [InlineData("--kernel /nonexistent/vmlinux", "/nonexistent/vmlinux", "not exist")]
    [InlineData("--kernel @", "@", "directory")]
    [InlineData("--kernel @/text", "@/text", "not a kernel")]
    [InlineData("--kernel @/empty", "@/empty", "is empty")]
    [InlineData("--kernel @/cut", "@/cut", "")]
    [InlineData("--kernel % --initramfs /nonexistent/cpio", "initramfs", "/nonexistent/cpio")]
    [InlineData("--kernel % --memory size=8M", "vmlinux-small", "8 MiB")]
    [InlineData("--kernel % --memory size=0", "memory.size", "0")]
    [InlineData("--kernel % --memory size=100T", "memory.size", "46 bits")]
    [InlineData("--kernel % --memory size=18446744073709551615", "memory.size", "")]
    [InlineData("--kernel % --memory size=99999999999999999999G", "--memory", "size")]
    [InlineData("--kernel % --memory size=12x", "--memory", "12x")]
    [InlineData("--kernel % --memory size=-1", "--memory", "-1")]
    [InlineData("--kernel % --cpus boot=0", "cpus.boot_vcpus", "0")]
    [InlineData("--kernel % --cpus boot=100000", "cpus.boot_vcpus", "100000")]
    [InlineData("--kernel % --cpus boot=8192", "cpus.max_vcpus", "8192")]
    [InlineData("--kernel % --cpus boot=4294967296", "--cpus", "4294967296")]
    [InlineData("--kernel % --cpus boot=1,bot=2", "bot", "boot")]
    [InlineData("--kernal %", "--kernal", "--kernel")]
    [InlineData("--kernel % --pmem file=@/disk", "pmem", "not supported")]
    [InlineData("--kernel % --disk path=@/disk path=@/disk", "@/disk", "disks[0]")]
    [InlineData("--kernel % --disk path=@/disk path=@/link-to-disk", "disk", "")]
    [InlineData("--kernel % --disk path=/nonexistent/disk", "/nonexistent/disk", "No such file")]
    [InlineData("--kernel % --disk path=@", "@", "")]
    [InlineData("--kernel % --net tap=a-name-too-long-for-linux", "a-name-too-long-for-linux", "")]
    [InlineData("--kernel % --net mac=12:34", "12:34", "")]
    [InlineData("--kernel % --serial socket=/nonexistent/socket", "/nonexistent/socket", "serial")]
    [InlineData("--kernel % --platform num_pci_segments=97", "num_pci_segments", "96")]
    [InlineData("--kernel % --machine q35", "q35", "microvm")]
    [InlineData("", "--kernel", "--api-socket")]
    public void Is_refused_by_name(string flags, string named, string also)
    {
        SkipWithoutHypervisor();
        MakeFiles();
        string[] arguments =
        [
            .. flags.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(Expand),
            .. flags.Length == 0 ? (string[])[] : ["--hypervisor", hypervisor, "--console", "off", "--api-socket", $"path={_folder}/api.sock"],
        ];

        (int code, string output, string error) = Run(GuestHostFixture.Vmm, arguments);

        Assert.True(code == 1, $"exit code {code}\n{error}");
        Assert.Equal("", output);
        Assert.Contains(Expand(named), error, StringComparison.Ordinal);
        Assert.Contains(Expand(also), error, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain("   at ", error, StringComparison.Ordinal);
        AssertNothingIsLeft();
    }

    [GuestFact]
    public void An_unreadable_kernel_is_named()
    {
        Skip.If(!Environment.IsPrivilegedProcess, "becoming another user needs root");
        SkipWithoutHypervisor();
        MakeFiles();
        File.SetUnixFileMode(Path.Combine(_folder, "text"), UnixFileMode.None);

        // Root without its capability to read everything.
        (int code, _, string error) = Run(
            "setpriv",
            "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search", GuestHostFixture.Vmm,
            "--hypervisor", hypervisor, "--kernel", $"{_folder}/text", "--console", "off", "--api-socket", $"{_folder}/api.sock");

        Assert.Equal(1, code);
        Assert.Contains($"{_folder}/text", error, StringComparison.Ordinal);
        Assert.Contains("denied", error, StringComparison.OrdinalIgnoreCase);
        AssertNothingIsLeft();
    }

    /// <summary>Skips the test where the hypervisor cannot even be opened.</summary>
    protected virtual void SkipWithoutHypervisor()
    {
    }

    /// <summary>Runs a program to its end with nothing on its standard input.</summary>
    protected static (int Code, string Output, string Error) Run(string program, params string[] arguments)
    {
        Skip.If(!File.Exists(GuestHostFixture.Vmm), $"{GuestHostFixture.Vmm} is missing: 'make build' makes it");
        using var process = Process.Start(new ProcessStartInfo(program, arguments)
        {
            RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true,
        })!;
        process.StandardInput.Close();
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> error = process.StandardError.ReadToEndAsync();
        if (!process.WaitForExit(Patience))
        {
            process.Kill(entireProcessTree: true);
            Assert.Fail($"still running after {Patience.TotalSeconds} s\n{output.Result}\n{error.Result}");
        }

        return (process.ExitCode, output.Result, error.Result);
    }

    /// <summary>@ and % in a text, replaced.</summary>
    protected string Expand(string text) => text
        .Replace("%", Path.Combine(Repository.Images, "vmlinux-small"), StringComparison.Ordinal)
        .Replace("@", _folder, StringComparison.Ordinal);

    /// <summary>Fills the test's folder.</summary>
    protected void MakeFiles()
    {
        Skip.If(!File.Exists(Expand("%")), $"{Expand("%")} is missing: 'make images' makes it");
        File.WriteAllText(Path.Combine(_folder, "text"), "This is no kernel.\n");
        File.WriteAllText(Path.Combine(_folder, "empty"), "");
        using (FileStream kernel = File.OpenRead(Expand("%")))
        {
            byte[] start = new byte[5000];
            kernel.ReadExactly(start);
            File.WriteAllBytes(Path.Combine(_folder, "cut"), start);
        }

        File.WriteAllBytes(Path.Combine(_folder, "disk"), new byte[1 << 20]);
        File.CreateSymbolicLink(Path.Combine(_folder, "link-to-disk"), Path.Combine(_folder, "disk"));
    }

    /// <summary>The folder holds what <see cref="MakeFiles"/> made and nothing else.</summary>
    protected void AssertNothingIsLeft() =>
        Assert.Equal(
            ["cut", "disk", "empty", "link-to-disk", "text"],
            Directory.EnumerateFileSystemEntries(_folder).Select(f => Path.GetFileName(f)!).Order(StringComparer.Ordinal));
}
