using System.Runtime.ExceptionServices;
using Cnvm.Hypervisor.Memory;

namespace Cnvm.Vmm.Migration;

/// <summary>
/// The connections beside the first one. Within a round each page goes through one of them, whichever is free; the target ends a round when
/// all of them have said its end, and only then does the next one begin, so that no page overtakes a later copy of itself.
/// </summary>
internal sealed class DepartingChannels : IDisposable
{
    private const int StackBytes = 256 << 10;
    private readonly List<DepartingChannel> _channels = [];
    private readonly Lock _gate = new();
    private ExceptionDispatchInfo? _failure;

    /// <summary>One has failed, and with it the round.</summary>
    public bool HasFailed => Volatile.Read(ref _failure) is not null;

    public long Bytes => _channels.Sum(c => c.Bytes);

    public long DataPages => _channels.Sum(c => c.Sender.DataPages);

    public long ZeroPages => _channels.Sum(c => c.Sender.ZeroPages);

    public void Add(DepartingChannel channel) => _channels.Add(channel);

    /// <summary>Sends the pages of a bitmap through all connections at once, on a thread each.</summary>
    /// <param name="first">Sends through the first connection, on this thread.</param>
    /// <param name="goesOn">Asked on any of these threads, by one at a time.</param>
    /// <exception cref="MigrationException">A connection failed, or <paramref name="goesOn"/> says so.</exception>
    /// <exception cref="IOException">A connection failed.</exception>
    public void Send(PageSender first, DirtyBitmap pages, Func<bool> goesOn)
    {
        var stretches = new PageStretches(pages);
        bool wanted = true;
        bool GoesOn()
        {
            lock (_gate)
            {
                return wanted = wanted && !HasFailed && goesOn();
            }
        }

        var threads = new Thread[_channels.Count];
        for (int i = 0; i < threads.Length; i++)
        {
            PageSender sender = _channels[i].Sender;
            threads[i] = new Thread(() => Send(sender, stretches, GoesOn), StackBytes) { Name = "migration-pages", IsBackground = true };
            threads[i].Start();
        }

        Send(first, stretches, GoesOn);
        foreach (Thread thread in threads)
        {
            thread.Join();
        }

        _failure?.Throw();
    }

    /// <summary>Says on all of them that the round's pages have been sent.</summary>
    /// <exception cref="IOException">A connection failed.</exception>
    public void EndRound(ReadOnlySpan<byte> number)
    {
        foreach (DepartingChannel channel in _channels)
        {
            channel.EndRound(number);
        }
    }

    public void Dispose() => _channels.ForEach(c => c.Dispose());

    private void Send(PageSender sender, PageStretches stretches, Func<bool> goesOn)
    {
        try
        {
            sender.Send(stretches, goesOn);
        }
#pragma warning disable CA1031 // It comes back on the migration's own thread, where the first of them counts.
        catch (Exception e)
#pragma warning restore CA1031
        {
            Interlocked.CompareExchange(ref _failure, ExceptionDispatchInfo.Capture(e), null);
        }
    }
}
