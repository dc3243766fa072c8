using Cnvm.Linux;

namespace Cnvm.Vmm.Migration;

/// <summary>One of several connections that pages come through, beside the first one; read on a thread of its own.</summary>
internal sealed class ArrivingChannel : IDisposable
{
    private const int StackBytes = 256 << 10;
    private const int SliceMilliseconds = 50;
    private readonly MigrationLink _link;
    private readonly FrameReader _reader;
    private readonly PageReceiver _pages;
    private readonly Thread _thread;

    // Waited on, so a plain object.
    private readonly object _gate = new();
    private uint _round;
    private Exception? _failure;

    /// <param name="link">Owned.</param>
    /// <param name="reader">Reads from it, and has read what comes before the pages.</param>
    public ArrivingChannel(MigrationLink link, FrameReader reader, PageReceiver pages)
    {
        _link = link;
        _reader = reader;
        _pages = pages;
        _thread = new Thread(Run, StackBytes) { Name = "migration-pages", IsBackground = true };
        _thread.Start();
    }

    /// <summary>Bytes of whole messages so far.</summary>
    public long Bytes => _reader.Bytes;

    /// <inheritdoc cref="MigrationLink.HeardAt"/>
    public long HeardAt => _link.HeardAt;

    /// <summary>Waits until all pages of a round have come.</summary>
    /// <param name="isGivenUp">Asked several times a second; true, or an exception, ends the wait.</param>
    /// <exception cref="MigrationException">The connection failed, or brought what it must not.</exception>
    /// <exception cref="OperationCanceledException">It was given up.</exception>
    public void WaitForRound(uint round, Func<bool> isGivenUp)
    {
        lock (_gate)
        {
            while (_round < round)
            {
                if (_failure is { } failure)
                {
                    throw new MigrationException($"one of the connections failed: {failure.Message}", failure);
                }

                if (isGivenUp())
                {
                    throw new OperationCanceledException();
                }

                Monitor.Wait(_gate, SliceMilliseconds);
            }
        }
    }

    /// <summary>Ends the connection; afterwards it writes nothing into the memory any more.</summary>
    public void Dispose()
    {
        _link.Abort();
        _thread.Join();
        _link.Dispose();
    }

    private void Run()
    {
        NativeThread.ShowName();
        try
        {
            while (true)
            {
                Frame frame = _reader.Read();
                switch (frame.Type)
                {
                    case FrameType.Pages or FrameType.Zeros:
                        _pages.Take(frame);
                        break;
                    case FrameType.Round:
                        EndRound(frame);
                        break;
                    default:
                        throw new MigrationException($"message {frame.Type} is out of place on a connection for pages");
                }
            }
        }
#pragma warning disable CA1031 // Whatever taking pages fails with comes to the one who waits for the round.
        catch (Exception e)
#pragma warning restore CA1031
        {
            lock (_gate)
            {
                _failure = e;
                Monitor.PulseAll(_gate);
            }

            // So that a source that still sends finds out.
            _link.Abort();
        }
    }

    private void EndRound(in Frame frame)
    {
        uint round = MigrationTarget.NumberOf(frame);
        lock (_gate)
        {
            if (round != _round + 1)
            {
                throw new MigrationException($"round {round} ends where round {_round + 1} should");
            }

            _round = round;
            Monitor.PulseAll(_gate);
        }
    }
}
