using Cnvm.Nested;

namespace Cnvm.Guest.Tests;

/// <summary>
/// The one nested KVM host that all guest tests share. Its first disk (/dev/vda) is the Debian root image; what guests write there is
/// thrown away at the end.
/// </summary>
public sealed class NestedHostFixture : IAsyncLifetime
{
    private const int MemoryMiB = 3000;
    private static readonly string[] Images =
        ["nested-vmlinux", "nested-initramfs.cpio", "vmlinux-small", "bzImage-small", "initramfs.cpio", "vmlinux-debian", "vmlinuz-debian", "initramfs-debian.cpio", "debian.ext4"];

    private NestedHost? _host;
    private string? _obstacle;

    /// <summary>The program under test, published by `make build`.</summary>
    public static string Vmm => Environment.GetEnvironmentVariable("CNVM_VMM") ?? Path.Combine(Repository.Root, "out", "bin", "cnvm-vmm");

    /// <summary>The host; skips the test that asks for it when this machine cannot have one.</summary>
    public NestedHost Host
    {
        get
        {
            Skip.If(_obstacle is not null, _obstacle);
            return _host!;
        }
    }

    public async Task InitializeAsync()
    {
        _obstacle = Obstacle();
        if (_obstacle is null)
        {
            _host = await NestedHost.StartAsync(new NestedHostOptions
            {
                MemoryMiB = MemoryMiB,
                Drives = [new NestedHostDrive(Repository.Image("debian.ext4"))],
                StartTimeout = TimeSpan.FromMinutes(5),
            });
        }
    }

    public async Task DisposeAsync()
    {
        if (_host is not null)
        {
            await _host.DisposeAsync();
        }
    }

    private static string? Obstacle()
    {
        string path = Environment.GetEnvironmentVariable("PATH") ?? "";
        if (!path.Split(':').Any(d => File.Exists(Path.Combine(d, "qemu-system-x86_64"))))
        {
            return "qemu-system-x86_64 is not installed: 'make deps' installs it";
        }

        if (!File.Exists(Vmm))
        {
            return $"{Vmm} is missing: 'make build' makes it";
        }

        return Images.FirstOrDefault(image => !File.Exists(Path.Combine(Repository.Images, image))) is { } missing
            ? $"{missing} is missing in {Repository.Images}: 'make images' makes it"
            : null;
    }
}
