using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using Cnvm.Linux;

namespace Cnvm.Vmm.Migration;

/// <summary>
/// Reads what the target says on a thread of its own, so that a refusal is heard while pages are being sent. Ends with the connection.
/// </summary>
internal sealed class ReplyQueue : IDisposable
{
    private const int StackBytes = 256 << 10;

    // A target answers, and says nothing else but that it gives up.
    private const int MostReplies = 8;
    private const int MostReplyBytes = 1 << 20;

    // Each thread of a guest waits for one page.
    private const int MostWants = 1 << 16;

    private readonly MigrationLink _link;
    private readonly FrameReader _reader;
    private readonly object _gate = new();
    private readonly Queue<MigrationReply> _replies = new();
    private readonly Thread _thread;
    private readonly Queue<ulong> _wants = new();
    private readonly bool _hasBegun;
    private Exception? _failure;

    /// <param name="reader">Has read the first messages; null: reads from the beginning.</param>
    public ReplyQueue(MigrationLink link, FrameReader? reader = null)
    {
        _link = link;
        _hasBegun = reader is not null;
        _reader = reader ?? new FrameReader(link.Stream);
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

    /// <summary>The target has given up, or is gone.</summary>
    public bool HasFailed
    {
        get
        {
            lock (_gate)
            {
                return _failure is not null;
            }
        }
    }

    /// <summary>Something has come, or the target is gone.</summary>
    public bool HasNews
    {
        get
        {
            lock (_gate)
            {
                return HasNewsLocked;
            }
        }
    }

    private bool HasNewsLocked => _wants.Count > 0 || _replies.Count > 0 || _failure is not null;

    /// <summary>Takes the next page that the target asks for (its address), or else the next message; null after the time.</summary>
    /// <exception cref="MigrationException">The target has given up, or is gone.</exception>
    public (ulong? Want, MigrationReply Reply)? Next(TimeSpan time)
    {
        lock (_gate)
        {
            if (!HasNewsLocked && time > TimeSpan.Zero)
            {
                Monitor.Wait(_gate, time);
            }

            if (_wants.TryDequeue(out ulong want))
            {
                return (want, default);
            }

            return _replies.TryDequeue(out MigrationReply reply) ? (null, reply)
                : _failure is { } failure ? throw Failure(failure)
                : null;
        }
    }

    /// <summary>Waits until nothing comes any more: the target has given up, or closed the connection; false after the time.</summary>
    public bool WaitForEnd(TimeSpan time) => _thread.Join(time);

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
            if (!_hasBegun)
            {
                _reader.ReadMagic();
            }

            while (true)
            {
                Frame frame = _reader.Read(MostReplyBytes);
                byte[] payload = frame.Payload.ToArray();
                if (frame.Type == FrameType.Failed)
                {
                    Refusal = Encoding.UTF8.GetString(payload);
                    throw new MigrationException($"the target refuses: {Refusal}");
                }

                lock (_gate)
                {
                    if (frame.Type == FrameType.Want && payload.Length == sizeof(ulong) && _wants.Count < MostWants)
                    {
                        _wants.Enqueue(BinaryPrimitives.ReadUInt64LittleEndian(payload));
                        Monitor.PulseAll(_gate);
                        continue;
                    }

                    if (_replies.Count == MostReplies)
                    {
                        throw new MigrationException($"the target sends what nobody asked for (message {frame.Type} of {payload.Length} bytes)");
                    }

                    _replies.Enqueue(new MigrationReply(frame.Type, payload));
                    Monitor.PulseAll(_gate);
                }
            }
        }
#pragma warning disable CA1031 // The guest is here: whatever a target says, or reading that fails with, comes to the one who waits.
        catch (Exception e)
#pragma warning restore CA1031
        {
            lock (_gate)
            {
                _failure = e;
                Monitor.PulseAll(_gate);
            }
        }
    }
}
