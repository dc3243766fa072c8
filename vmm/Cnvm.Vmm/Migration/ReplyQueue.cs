using System.Buffers;
using System.Text;
using Cnvm.Linux;

namespace Cnvm.Vmm.Migration;

/// <summary>
/// Reads what the target says on a thread of its own, so that a refusal is heard while pages are being sent. Ends with the connection.
/// </summary>
internal sealed class ReplyQueue : IDisposable
{
    private const int StackBytes = 256 << 10;
    private readonly MigrationLink _link;
    private readonly FrameReader _reader;
    private readonly object _gate = new();
    private readonly Queue<MigrationReply> _replies = new();
    private readonly Thread _thread;
    private Exception? _failure;

    public ReplyQueue(MigrationLink link)
    {
        _link = link;
        _reader = new FrameReader(link.Stream);
        _thread = new Thread(Run, StackBytes) { Name = "migration-reply", IsBackground = true };
        _thread.Start();
    }

    /// <summary>The target has said that it gives up, and why; null if it has not.</summary>
    public string? Refusal { get; private set; }

    /// <summary>Throws if the target has given up or is gone.</summary>
    /// <exception cref="MigrationException">It has.</exception>
    public void ThrowIfFailed()
    {
        lock (_gate)
        {
            if (_failure is { } failure)
            {
                throw Failure(failure);
            }
        }
    }

    /// <summary>Waits for the next message, which must be of this type.</summary>
    /// <param name="isGivenUp">Asked several times a second; true ends the wait with an <see cref="OperationCanceledException"/>.</param>
    /// <exception cref="MigrationException">The target has given up, is gone, or says something else.</exception>
    public byte[] Wait(FrameType type, TimeSpan patience, Func<bool> isGivenUp)
    {
        const int SliceMilliseconds = 50;
        long end = Environment.TickCount64 + (long)patience.TotalMilliseconds;
        lock (_gate)
        {
            MigrationReply reply;
            while (!_replies.TryDequeue(out reply))
            {
                if (_failure is { } failure)
                {
                    throw Failure(failure);
                }

                if (isGivenUp())
                {
                    throw new OperationCanceledException();
                }

                if (Environment.TickCount64 > end)
                {
                    throw new MigrationException($"the target does not answer: no {type} for {patience.TotalSeconds:0} s");
                }

                Monitor.Wait(_gate, SliceMilliseconds);
            }

            return reply.Type == type ? reply.Payload : throw new MigrationException($"the target sent {reply.Type} where {type} should come");
        }
    }

    /// <summary>Waits until the target has closed the connection, or the time is over.</summary>
    public void WaitForEnd(TimeSpan time) => _thread.Join(time);

    /// <summary>Ends the connection and the thread.</summary>
    public void Dispose()
    {
        _link.Abort();
        _thread.Join();
    }

    private static MigrationException Failure(Exception failure) => failure as MigrationException
        ?? new MigrationException($"the connection to the target failed: {failure.Message}", failure);

    private void Run()
    {
        NativeThread.ShowName();
        try
        {
            _reader.ReadMagic();
            while (true)
            {
                Frame frame = _reader.Read();
                byte[] payload = frame.Payload.ToArray();
                if (frame.Type == FrameType.Failed)
                {
                    Refusal = Encoding.UTF8.GetString(payload);
                    throw new MigrationException($"the target refuses: {Refusal}");
                }

                lock (_gate)
                {
                    _replies.Enqueue(new MigrationReply(frame.Type, payload));
                    Monitor.PulseAll(_gate);
                }
            }
        }
        catch (Exception e) when (e is MigrationException or IOException)
        {
            lock (_gate)
            {
                _failure = e;
                Monitor.PulseAll(_gate);
            }
        }
    }
}
