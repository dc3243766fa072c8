using System.Buffers.Binary;
using Cnvm.Linux;
using Cnvm.Vmm.Migration;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>Stands between source and target, passes messages on and disturbs one of them, on the first connection and perhaps on the next; further ones pass as they are.</summary>
internal sealed class Disturber : IDisposable
{
    /// <summary>How late what is late arrives.</summary>
    public static readonly TimeSpan Lateness = TimeSpan.FromMilliseconds(100);
    private readonly StreamListener _listener;
    private readonly string _target;
    private readonly List<Thread> _threads = [];
    private readonly List<SocketStream> _sockets = [];
    private readonly Lock _gate = new();
    private int _connections;

    public Disturber(string path, string target)
    {
        _listener = StreamListener.Bind(Move.Endpoint(path));
        _target = target;
        Begin(AcceptAll, "proxy");
    }

    /// <summary>Which message is disturbed, and how; null disturbs none.</summary>
    public (bool FromSource, int Index, Fault Fault)? Plan { get; init; }

    /// <summary>The same of the second connection.</summary>
    public (bool FromSource, int Index, Fault Fault)? NextPlan { get; init; }

    /// <summary>After the first connection nobody gets through any more, as if the other host were dead.</summary>
    public bool StaysBroken { get; init; }

    /// <summary>Descriptors that come along are passed on with the message that they came with, or lost with it.</summary>
    public bool PassesDescriptors { get; init; }

    /// <summary>Messages that passed on the first connection, in order.</summary>
    public List<FrameType> FromSource { get; } = [];

    public List<FrameType> FromTarget { get; } = [];

    /// <summary>All that the source sent on the first connection.</summary>
    public MemoryStream Recorded { get; } = new();

    public void Dispose()
    {
        _listener.GiveUp();
        lock (_gate)
        {
            _sockets.ForEach(s => s.Abort());
        }

        Thread[] threads;
        lock (_gate)
        {
            threads = [.. _threads];
        }

        foreach (Thread thread in threads)
        {
            Assert.True(thread.Join(TimeSpan.FromSeconds(60)));
        }

        _listener.Dispose();
    }

    private void Begin(Action action, string name)
    {
        var thread = new Thread(() =>
        {
            try
            {
                action();
            }
            catch (IOException)
            {
                // One of the two has closed, or the disturber ends: the other one is told.
                AbortAll();
            }
        })
        {
            Name = name,
            IsBackground = true,
        };
        lock (_gate)
        {
            _threads.Add(thread);
        }

        thread.Start();
    }

    private void AbortAll()
    {
        lock (_gate)
        {
            _sockets.ForEach(s => s.Abort());
        }
    }

    private void AcceptAll()
    {
        while (_listener.Accept(-1) is { } source)
        {
            if (_connections > 0 && StaysBroken)
            {
                source.Dispose();
                continue;
            }

            int connection = _connections++;
            SocketStream target = SocketStream.Connect(Move.Endpoint(_target), 10_000, static () => false);
            lock (_gate)
            {
                _sockets.Add(source);
                _sockets.Add(target);
            }

            Begin(() => Pass(source, target, fromSource: true, connection), "to target");
            Begin(() => Pass(target, source, fromSource: false, connection), "to source");
        }
    }

    private void Pass(SocketStream from, SocketStream to, bool fromSource, int connection)
    {
        var carried = new List<FileDescriptor>();
        if (PassesDescriptors)
        {
            from.ReceiveDescriptors(carried);
        }

        try
        {
            Pass(from, to, fromSource, connection, carried);
        }
        finally
        {
            carried.ForEach(d => d.Dispose());
        }
    }

    /// <param name="carried">Descriptors that have come.</param>
    private void Pass(SocketStream from, SocketStream to, bool fromSource, int connection, List<FileDescriptor> carried)
    {
        bool isFirst = connection == 0;
        (bool FromSource, int Index, Fault Fault)? planned = isFirst ? Plan : connection == 1 ? NextPlan : null;
        byte[] magic = new byte[8];
        from.ReadExactly(magic);
        Send(to, magic, fromSource && isFirst);
        byte[]? held = null;
        for (int index = 0; Read(from) is { } message; index++)
        {
            if (isFirst)
            {
                (fromSource ? FromSource : FromTarget).Add((FrameType)BinaryPrimitives.ReadUInt16LittleEndian(message));
            }

            Fault? fault = planned is { } plan && plan.FromSource == fromSource && plan.Index == index ? plan.Fault : null;
            if (carried.Count > 0 && fault is not (Fault.CutBefore or Fault.Reorder or Fault.Drop))
            {
                to.AttachDescriptors([.. carried.Select(d => d.Value)]);
            }

            switch (fault)
            {
                case null:
                    Send(to, message, fromSource && isFirst);
                    if (held is not null)
                    {
                        to.Write(held);
                        held = null;
                    }

                    break;
                case Fault.CutBefore or Fault.CutInside or Fault.CutAfter:
                    // First, so that nobody can answer what still arrives.
                    from.Abort();
                    to.Write(message.AsSpan(0, fault == Fault.CutBefore ? 0 : fault == Fault.CutInside ? message.Length / 2 : message.Length));
                    if (fault == Fault.CutAfter)
                    {
                        // It has to be read before the connection ends: the end of a Unix socket takes nothing back that was sent.
                        to.CloseWriting();
                    }
                    else
                    {
                        to.Abort();
                    }

                    return;
                case Fault.Delay or Fault.Slow:
                    int early = fault == Fault.Slow ? message.Length / 2 : 0;
                    to.Write(message.AsSpan(0, early));
                    using (var never = new ManualResetEventSlim(false))
                    {
                        never.Wait(Lateness);
                    }

                    to.Write(message.AsSpan(early));
                    break;
                case Fault.Duplicate:
                    to.Write(message);
                    to.Write(message);
                    break;
                case Fault.Reorder:
                    held = message;
                    break;
                case Fault.Drop:
                    break;
                default:
                    message[fault == Fault.CorruptHeader ? 9 : ^1] ^= 4;
                    to.Write(message);
                    break;
            }

            carried.ForEach(d => d.Dispose());
            carried.Clear();
        }

        to.CloseWriting();
    }

    private void Send(SocketStream to, byte[] bytes, bool record)
    {
        if (record)
        {
            Recorded.Write(bytes);
        }

        to.Write(bytes);
    }

    /// <summary>A whole message; null at the end.</summary>
    private static byte[]? Read(SocketStream from)
    {
        byte[] header = new byte[MigrationWire.HeaderBytes];
        int first = from.Read(header);
        if (first == 0)
        {
            return null;
        }

        from.ReadExactly(header.AsSpan(first));
        byte[] message = new byte[header.Length + BinaryPrimitives.ReadInt32LittleEndian(header.AsSpan(4))];
        header.CopyTo(message, 0);
        from.ReadExactly(message.AsSpan(header.Length));
        return message;
    }
}
