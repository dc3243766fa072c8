using Cnvm.Nested;

namespace Cnvm.Guest.Tests;

/// <summary>This machine with the software vCPU. The Debian root disk is a private copy of the image.</summary>
public sealed class SoftHostFixture : GuestHostFixture
{
    private TemporaryDirectory? _disks;
    private TemporaryDirectory? _scratch;
    private GuestHost? _host;

    public override async Task<GuestHost> HostAsync()
    {
        SkipWithout(
            "vmlinux-small", "bzImage-small", "initramfs.cpio", "vmlinux-debian", "vmlinuz-debian", "initramfs-debian.cpio", "debian.ext4");
        if (_host?.Defect is { } defect)
        {
            throw new InvalidOperationException($"an earlier test left something on this machine: {defect.Message}", defect);
        }

        if (_host is null)
        {
            // Disks of tests are in memory, as in the nested host: what a file takes there is exact, and nothing waits for a real disk.
            string memory = Directory.Exists("/dev/shm") ? "/dev/shm" : Path.GetTempPath();
            _scratch = new TemporaryDirectory(memory, "cnvm-guests-");
            _disks = new TemporaryDirectory(Path.GetTempPath(), "cnvm-disks-");
            string root = _disks.File("root.ext4");
            var commands = new LocalHost();
            (await commands.RunAsync($"cp --sparse=always --reflink=auto {Shell.Quote(Repository.Image("debian.ext4"))} {Shell.Quote(root)}")).OrThrow();
            _host = new GuestHost(commands, "soft", root, _scratch.Path, Environment.IsPrivilegedProcess, IsAlone: false);
        }

        return _host;
    }

    public override Task DisposeAsync()
    {
        _scratch?.Dispose();
        _disks?.Dispose();
        return Task.CompletedTask;
    }
}
