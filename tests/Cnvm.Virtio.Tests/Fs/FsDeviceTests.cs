using System.Text;
using Cnvm.Devices;
using Cnvm.Linux;
using Cnvm.Linux.Fuse;
using Cnvm.Virtio.Fs;
using Cnvm.Virtio.Tests.Support;
using Cnvm.Virtio.Transport;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Virtio.Tests.Fs;

/// <summary>The device on its queues.</summary>
public sealed class FsDeviceTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("cnvm-fs-").FullName;
    private readonly TestMemory _memory = new();

    public void Dispose()
    {
        _memory.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public void The_configuration_has_tag_and_queues()
    {
        using PciGuest guest = new(Make(queues: 3, tag: "my-tag"), _memory);
        byte[] config = [.. Enumerable.Range(0, 10).SelectMany(i => guest.ReadConfiguration(i * 4, 4))];
        Assert.Equal("my-tag" + new string('\0', 30), Encoding.UTF8.GetString(config[..36]));
        Assert.Equal(3, BitConverter.ToInt32(config, 36));
        Assert.Equal(new ushort[] { 128, 128, 128, 128 }, guest.Function.Device.QueueSizes);
        Assert.Equal(26, (int)guest.Function.Device.DeviceType);
    }

    [Fact]
    public void Every_queue_serves_the_same_session()
    {
        using PciGuest guest = new(Make(queues: 2), _memory);
        var device = (FsDevice)guest.Function.Device;
        FsDriver driver = new(_memory, guest, 2);
        driver.Begin();
        (ulong node, ulong handle) = driver.Create("f\0"u8);
        Assert.Equal(0, driver.Ask(FuseAbi.FUSE_WRITE, node, new fuse_write_in { fh = handle, size = 5 }, "hello"u8, queue: 2));
        Assert.Equal(0, driver.Ask(FuseAbi.FUSE_READ, node, new fuse_read_in { fh = handle, size = 4096 }));
        Assert.Equal("hello"u8, driver.AnswerBytes);
        Assert.Equal("hello", File.ReadAllText(Path.Combine(_folder, "f")));

        // The mode is the one that the guest asks for, whatever this process's mask.
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.GroupWrite, File.GetUnixFileMode(Path.Combine(_folder, "f")));
        FsCounters c = device.Counters;
        Assert.Equal((4UL, 0UL, 1UL, 5UL, 1UL, 5UL, 1UL, 1UL), (c.Requests, c.Errors, c.ReadOps, c.ReadBytes, c.WriteOps, c.WriteBytes, c.Nodes, c.Handles));
        driver.Forget(node);
        Assert.Equal(0UL, device.Counters.Nodes);

        // A driver that lets go of the device leaves nothing open.
        guest.Status = 0;
        Assert.Equal(0UL, device.Counters.Handles);
    }

    [Fact]
    public void The_guest_goes_on_after_a_restore()
    {
        using PciGuest guest = new(Make(), _memory);
        FsDriver driver = new(_memory, guest);
        driver.Begin();
        (ulong node, ulong handle) = driver.Create("f\0"u8);
        driver.Ask(FuseAbi.FUSE_WRITE, node, new fuse_write_in { fh = handle, size = 5 }, "hello"u8);
        guest.Function.Pause();
        PciTransportState state = guest.Function.Save();
        string text = StateText.Of(state);
        Assert.Contains("Zg==", text, StringComparison.Ordinal);

        using PciGuest other = new(Make(), _memory);
        other.Function.Restore(state);
        Assert.Equal(text, StateText.Of(other.Function.Save()));
        using PciGuest wrong = new(Make(tag: "other"), _memory);
        Assert.Throws<DeviceStateException>(() => wrong.Function.Restore(state));
        guest.Function.Restore(state);
        guest.Function.Resume();
        Assert.Equal(0, driver.Ask(FuseAbi.FUSE_READ, node, new fuse_read_in { fh = handle, size = 4096 }));
        Assert.Equal("hello"u8, driver.AnswerBytes);
    }

    [Fact]
    public void A_folder_that_is_none_is_refused_by_its_path()
    {
        string file = Path.Combine(_folder, "file");
        File.WriteAllText(file, "");
        foreach ((string path, int error) in (ReadOnlySpan<(string, int)>)[(file, Errno.ENOTDIR), (file + "-not", Errno.ENOENT)])
        {
            LinuxException e = Assert.Throws<LinuxException>(() => Make(path: path));
            Assert.Equal(error, e.Errno);
            Assert.Contains(path, e.Message, StringComparison.Ordinal);
        }

        Assert.Throws<ArgumentException>(() => Make(tag: ""));
        Assert.Throws<ArgumentException>(() => Make(tag: new string('t', 37)));
    }

    private FsDevice Make(int queues = 1, string tag = "t", string? path = null) => new(
        new FsOptions { Id = "_fs0", Tag = tag, Path = path ?? _folder, RequestQueues = queues, QueueSize = 128 }, NullLogger.Instance);
}
