using Cnvm.Linux;
using Cnvm.Virtio.Block;
using Cnvm.Virtio.Tests.Support;
using Cnvm.Virtio.VhostUser;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Virtio.Tests.VhostUser;

/// <summary>cnvm's own back end with a disk in memory, or another device, on a thread of its own.</summary>
internal sealed class ServedDisk : IDisposable
{
    private readonly VhostUserServer _server;
    private readonly Thread _thread;
    private bool _isDisposed;

    public ServedDisk(string socket, RecordingImage image, int queues = 1, int limitMilliseconds = 10_000)
        : this(socket, new BlockDevice(new BlockOptions { Id = "disk", QueueCount = queues, Serial = "served" }, image, NullLogger.Instance), limitMilliseconds)
    {
    }

    public ServedDisk(string socket, VirtioDevice device, int limitMilliseconds = 10_000)
    {
        _server = new VhostUserServer(device, UnixListener.Bind(socket, 4), NullLogger.Instance, TimeSpan.FromMilliseconds(limitMilliseconds));
        _thread = new Thread(_server.Run) { IsBackground = true };
        _thread.Start();
    }

    public bool IsAlive => _thread.IsAlive;

    public void Dispose()
    {
        if (!_isDisposed)
        {
            _isDisposed = true;
            _server.Stop();
            Assert.True(_thread.Join(20_000), "the back end does not stop");
            _server.Dispose();
        }
    }
}
