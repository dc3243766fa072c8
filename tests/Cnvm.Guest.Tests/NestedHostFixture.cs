using Cnvm.Nested;

namespace Cnvm.Guest.Tests;

/// <summary>
/// A nested KVM host. Its first disk (/dev/vda) is the Debian root image; what guests write there is thrown away at the end. A host
/// that does not answer any more, or in which a VMM is left over, is replaced, so that one failure does not become many.
/// </summary>
public sealed class NestedHostFixture : GuestHostFixture
{
    private const int MemoryMiB = 3000;
    private static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(60);
    private NestedHost? _machine;
    private GuestHost? _host;
    private TemporaryDirectory? _shared;

    /// <summary>A directory of this machine's memory that is the same inside the host, for what is used from both.</summary>
    internal string SharedDirectory => (_shared ?? throw new InvalidOperationException("there is no host")).Path;

    /// <summary>Ends the host in use after a test failed in it; the next test gets a new one. tests/run.sh shows the report.</summary>
    internal async Task GiveUpAsync(string test, string reason)
    {
        string folder = Path.Combine(Repository.Root, "out", "repeated-tests");
        Directory.CreateDirectory(folder);
        string report = $"{test}\n{reason}\n{_machine?.Frozen}\n{_machine?.Console}";
        await DisposeAsync();
        await File.WriteAllTextAsync(Path.Combine(folder, $"{Guid.NewGuid():N}.txt"), report);
    }

    public override async Task<GuestHost> HostAsync()
    {
        string path = Environment.GetEnvironmentVariable("PATH") ?? "";
        Skip.If(
            !path.Split(':').Any(d => File.Exists(Path.Combine(d, "qemu-system-x86_64"))),
            "qemu-system-x86_64 is not installed: 'make deps' installs it");
        SkipWithout(
            "nested-vmlinux", "nested-initramfs.cpio", "vmlinux-small", "bzImage-small", "initramfs.cpio", "vmlinux-debian", "vmlinuz-debian",
            "initramfs-debian.cpio", "debian.ext4");
        if (_host is not null && !await IsInOrderAsync(_host))
        {
            await DisposeAsync();
        }

        if (_host is null)
        {
            _shared = new TemporaryDirectory(Directory.Exists("/dev/shm") ? "/dev/shm" : Path.GetTempPath(), "cnvm-shared-");
            _machine = await NestedHost.StartAsync(new NestedHostOptions
            {
                MemoryMiB = MemoryMiB,
                SharedDirectory = _shared.Path,
                Drives = [new NestedHostDrive(Repository.Image("debian.ext4"))],
                StartTimeout = TimeSpan.FromMinutes(5),
            });
            _host = new GuestHost(_machine, "kvm", "/dev/vda", "/run/cnvm-guests", IsRoot: true, IsAlone: true);
            (await _host.RunAsync($"mkdir -p {_host.Scratch}")).OrThrow();
        }

        return _host;
    }

    public override async Task DisposeAsync()
    {
        NestedHost? machine = _machine;
        _machine = null;
        _host = null;
        if (machine is not null)
        {
            await machine.DisposeAsync();
        }

        _shared?.Dispose();
        _shared = null;
    }

    private static async Task<bool> IsInOrderAsync(GuestHost host)
    {
        try
        {
            return host.Defect is null && (await host.RunAsync("! pgrep -x cnvm-vmm", AnswerLimit)).ExitCode == 0;
        }
        catch (Exception e) when (e is TimeoutException or NestedHostException)
        {
            return false;
        }
    }
}
