using Cnvm.Vmm.Config;
using Cnvm.Vmm.Requests;
using Cnvm.Vmm.Snapshot;
using static Cnvm.Vmm.Tests.Snapshot.SnapshotService;

namespace Cnvm.Vmm.Tests.Snapshot;

/// <summary>Disks in snapshots, and machines that go on with them.</summary>
public sealed class DiskSnapshotTests : IDisposable
{
    private const int RawBytes = 3 << 20;
    private const int ImageBytes = 8 << 20;
    private readonly SnapshotService _service = new();

    private string Image => Path.Combine(_service.Folder("images"), "disk.qcow2");

    public void Dispose() => _service.Dispose();

    /// <summary>The copies have what the disks had, build on the same files from another folder, and go on in another machine.</summary>
    [SkippableFact]
    public void Copies_of_writable_disks_are_in_the_snapshot()
    {
        Start();
        string folder = _service.Take("one", trackChanges: true, disks: true);
        Assert.Equal(
            ["config.json", "disk-data", "disk-root", "memory-ranges", "state.json"], Directory.GetFiles(folder).Select(f => Path.GetFileName(f)).Order(StringComparer.Ordinal));
        string root = Path.Combine(folder, "disk-root");
        Assert.Equal(File.ReadAllBytes(_service.File("raw")), File.ReadAllBytes(Path.Combine(folder, "disk-data")));

        // A difference has the disks whole, and what it is merged into takes them over.
        _service.GoesOn();
        string difference = _service.Take("difference", incremental: true, disks: true);
        string merged = _service.Folder("merged");
        File.WriteAllText(Path.Combine(difference, "disk-root.cnvm-partial"), "half");
        SnapshotMerge.Merge(folder, difference, merged);
        Assert.Equal(File.ReadAllBytes(root), File.ReadAllBytes(Path.Combine(merged, "disk-root")));
        Assert.Equal(5, Directory.GetFiles(merged).Length);

        _service.Vmm.Delete();
        Run("qemu-img", "check", root);
        Run("qemu-img", "compare", root, Image);
        Assert.Contains($"backing file: {Path.GetDirectoryName(Image)}/base.raw\n", Run("qemu-img", "info", root), StringComparison.Ordinal);

        // Another machine has images of its own in front of the copies.
        string mine = _service.File("mine.qcow2");
        Run("qemu-img", "create", "-f", "qcow2", "-b", Path.Combine(merged, "disk-root"), "-F", "qcow2", mine);
        _service.Vmm.Restore(
            new RestoreConfig(
                $"file://{merged}",
                DiskOverrides: [new DiskOverride("root", mine), new DiskOverride("data", Path.Combine(merged, "disk-data"), ImageType.Raw)]),
            []);
        IReadOnlyList<DiskConfig> disks = _service.Vmm.Info().Config.Disks!;
        Assert.Equal([mine, Path.Combine(merged, "disk-data"), _service.File("fixed")], disks.Select(d => d.Path));
        Assert.Equal((ImageType.Qcow2, true), (disks[0].ImageType, disks[0].BackingFiles));
        _service.GoesOn();
    }

    [SkippableFact]
    public void Snapshots_without_them_are_as_they_were()
    {
        Start();
        Assert.Equal(3, Directory.GetFiles(_service.Take("one")).Length);
    }

    [SkippableFact]
    public void What_cannot_be_copied_is_named_and_leaves_nothing()
    {
        // A device for a file, so that there is one of its kind.
        string path = _service.File("device");
        File.WriteAllBytes(path, new byte[1 << 20]);
        (int code, string output) = TryRun("losetup", "--find", "--show", path);
        Skip.If(code != 0, $"losetup cannot make a loop device here: {output}");
        string device = output.Trim();
        try
        {
            _service.StartPaused(c => c with { Disks = [new DiskConfig(device, Id: "block")] });
            string folder = _service.Folder("one");
            VmmException e = Assert.Throws<VmmException>(() => _service.Vmm.Snapshot(new VmSnapshotConfig($"file://{folder}", Disks: true)));
            Assert.Contains($"{device} is a block device", e.InnerException!.Message, StringComparison.Ordinal);
            Assert.Empty(Directory.GetFiles(folder));
            _service.GoesOn();
            _service.Vmm.Delete();
        }
        finally
        {
            Run("losetup", "--detach", device);
        }
    }

    /// <summary>Other disks than the guest had, and none at all.</summary>
    [SkippableFact]
    public void Other_disks_are_refused_by_name()
    {
        Start();
        string folder = _service.Take("one", disks: true);
        _service.Vmm.Delete();
        string url = $"file://{folder}";
        Assert.Contains("no disk 'other'", _service.Refused(new RestoreConfig(url, DiskOverrides: [new DiskOverride("other", Image)])), StringComparison.Ordinal);
        string larger = _service.File("larger");
        File.WriteAllBytes(larger, new byte[RawBytes + 4096]);
        string message = _service.Refused(new RestoreConfig(url, DiskOverrides: [new DiskOverride("data", larger, ImageType.Raw)]));
        Assert.Contains($"disk data: disk {larger}: the disk had {RawBytes / 512} sectors and has {(RawBytes + 4096) / 512} now", message, StringComparison.Ordinal);
        message = _service.Refused(new RestoreConfig(url, DiskOverrides: [new DiskOverride("data", _service.File("none"))]));
        Assert.Contains(_service.File("none"), message, StringComparison.Ordinal);
        message = _service.Refused(new RestoreConfig(url, DiskOverrides: [new DiskOverride("root", Path.Combine(folder, "disk-root"), BackingFiles: false)]));
        Assert.Contains("backing_files=on allows that", message, StringComparison.Ordinal);
        File.Delete(_service.File("raw"));
        Assert.Contains(_service.File("raw"), _service.Refused(new RestoreConfig(url)), StringComparison.Ordinal);
        Run("qemu-img", "check", Path.Combine(folder, "disk-root"));
    }

    /// <summary>A qcow2 disk in front of another file of its folder, a raw one with holes, and one that is read only.</summary>
    private void Start()
    {
        Skip.IfNot(File.Exists("/usr/bin/qemu-img"), "there is no qemu-img here (Debian: qemu-utils)");
        string folder = _service.Folder("images");
        byte[] below = new byte[ImageBytes];
        new Random(1).NextBytes(below.AsSpan(0, 1 << 20));
        File.WriteAllBytes(Path.Combine(folder, "base.raw"), below);
        Run("qemu-img", "create", "-f", "qcow2", "-b", "base.raw", "-F", "raw", Image);
        Run("qemu-io", "-c", "write -P 7 3M 1M", Image);
        byte[] data = new byte[RawBytes];
        new Random(2).NextBytes(data.AsSpan(1 << 20, 5000));
        using (FileStream raw = File.Create(_service.File("raw")))
        {
            raw.SetLength(RawBytes);
            raw.Position = 1 << 20;
            raw.Write(data.AsSpan(1 << 20, 5000));
        }

        File.WriteAllBytes(_service.File("fixed"), new byte[4096]);
        _service.StartPaused(c => c with
        {
            Disks =
            [
                new DiskConfig(Image, Id: "root", ImageType: ImageType.Qcow2, BackingFiles: true),
                new DiskConfig(_service.File("raw"), Id: "data", ImageType: ImageType.Raw),
                new DiskConfig(_service.File("fixed"), Id: "fixed", ImageType: ImageType.Raw, Readonly: true),
            ],
        });
    }
}
