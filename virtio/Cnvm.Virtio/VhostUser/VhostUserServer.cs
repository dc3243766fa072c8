using Cnvm.Devices.Bus;
using Cnvm.Linux;
using Cnvm.Virtio.VhostUser.Serving;
using Microsoft.Extensions.Logging;

namespace Cnvm.Virtio.VhostUser;

/// <summary>
/// A vhost-user back end: serves a device to the machine of another process, one after another. What a front end does wrong costs the
/// connection to it, never more.
/// </summary>
public sealed partial class VhostUserServer : IDisposable
{
    // For a message that has begun, and for an answer. Between messages a front end may be silent for ever.
    private static readonly TimeSpan MessageLimit = TimeSpan.FromSeconds(10);

    private readonly UnixListener _listener;
    private readonly ServedDevice _device;
    private readonly ILogger _logger;
    private readonly EventFd _stop = new();
    private readonly TimeSpan _limit;
    private readonly LogRateLimit _connectedLimit = new();
    private readonly LogRateLimit _goneLimit = new();
    private readonly LogRateLimit _givenUpLimit = new();

    /// <param name="device">Disposed with this object; no transport has it.</param>
    /// <param name="listener">Disposed with this object.</param>
    /// <exception cref="ArgumentException">The device has more queues than the protocol knows.</exception>
    public VhostUserServer(VirtioDevice device, UnixListener listener, ILogger logger)
        : this(device, listener, logger, MessageLimit)
    {
    }

    internal VhostUserServer(VirtioDevice device, UnixListener listener, ILogger logger, TimeSpan limit)
    {
        ArgumentNullException.ThrowIfNull(device);
        ArgumentNullException.ThrowIfNull(listener);
        if (device.QueueSizes.Count > VhostUserSpec.MaxRings)
        {
            throw new ArgumentException($"{device.Id}: {device.QueueSizes.Count} queues; vhost-user knows {VhostUserSpec.MaxRings}", nameof(device));
        }

        _listener = listener;
        _logger = logger;
        _limit = limit;
        _device = new ServedDevice(device, logger);
    }

    /// <summary>Serves front ends until <see cref="Stop"/>.</summary>
    /// <exception cref="LinuxException">The host refuses to take connections.</exception>
    public void Run()
    {
        while (WaitForFrontEnd())
        {
            if (_listener.Accept() is { } stream)
            {
                Serve(stream);
            }
        }
    }

    /// <summary>Ends <see cref="Run"/> when what is in flight is done. Any thread.</summary>
    public void Stop() => _stop.Signal();

    public void Dispose()
    {
        _device.Dispose();
        _listener.Dispose();
        _stop.Dispose();
    }

    private bool WaitForFrontEnd()
    {
        Span<PollEntry> entries = [new PollEntry { Fd = _stop.Fd, Events = PollEntry.In }, new PollEntry { Fd = _listener.Fd, Events = PollEntry.In }];
        _ = Poll.Wait(entries, -1);
        return entries[0].Returned == 0;
    }

    private void Serve(UnixStream stream)
    {
        if (_connectedLimit.TryTake(out long connections))
        {
            LogConnected(_logger, _device.Id, connections);
        }

        using var channel = new FrontEndChannel(stream, _stop, _limit);
        try
        {
            new FrontEndSession(channel, _device).Serve();
            if (_goneLimit.TryTake(out long suppressed))
            {
                LogGone(_logger, _device.Id, suppressed);
            }
        }
        catch (Exception e) when (e is VhostUserException or LinuxException)
        {
            if (_givenUpLimit.TryTake(out long suppressed))
            {
                LogGivenUp(_logger, _device.Id, e.Message, suppressed);
            }
        }
        finally
        {
            // Before the connection is closed: whoever sees that may have another back end do again what is in flight.
            _device.End();
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "{Device}: a front end has connected ({Suppressed} like it not shown)")]
    private static partial void LogConnected(ILogger logger, string device, long suppressed);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Device}: the front end has gone ({Suppressed} like it not shown)")]
    private static partial void LogGone(ILogger logger, string device, long suppressed);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Device}: the front end is given up: {Reason} ({Suppressed} like it not shown)")]
    private static partial void LogGivenUp(ILogger logger, string device, string reason, long suppressed);
}
