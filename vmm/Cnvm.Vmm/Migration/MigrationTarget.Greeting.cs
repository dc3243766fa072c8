using System.Buffers;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Linux;

namespace Cnvm.Vmm.Migration;

// Connections: those that bring a guest, those that ask, and those that have no business here.
internal sealed partial class MigrationTarget
{
    private const int AnswerStackBytes = 256 << 10;

    /// <summary>Hears whoever connects until a source has introduced itself; false if it was given up.</summary>
    private bool WaitForSource()
    {
        using var incoming = new IncomingConnections(_listener, socket => Hear(socket, TakeSource), reason => LogRefused(_logger, reason));
        while (!_stop.IsAsked && incoming.Next(-1) is { } heard)
        {
            if (Admit(heard))
            {
                _session = heard.Hello!.Session;
                return true;
            }
        }

        return false;
    }

    /// <summary>
    /// Who somebody is that has connected: questions are answered, and whoever is of no use hears that and goes. On a thread of its own; nobody
    /// takes longer than a source may to say who it is.
    /// </summary>
    /// <param name="take">Told any other first message: the connection if it is kept; null if nothing more is said, and the connection closed.</param>
    private HeardLink? Hear(SocketStream socket, Func<HeardLink, Frame, HeardLink?> take)
    {
        socket.ReadTimeout = socket.WriteTimeout = (int)_options.GreetingPatience.TotalMilliseconds;
        MigrationLink? link = null;
        try
        {
            link = _wrap(socket);
            var heard = new HeardLink(link, new FrameReader(link.Stream), new FrameWriter(link.Stream));
            Frame first = ReadFirst(socket, heard.Reader);
            if (first.Type == FrameType.Hello && ReadHello(first) is { IsQuestion: true } question)
            {
                heard.Writer.WriteMagic();
                heard.Writer.Write(FrameType.Answer, [(byte)_decisions.Ask(question.Session)]);
            }
            else if (take(heard, first) is { } kept)
            {
                return kept;
            }

            link.CloseGently();
            link.Dispose();
        }
#pragma warning disable CA1031 // Whatever anybody at the port sends, this process answers and lives on.
        catch (Exception e)
#pragma warning restore CA1031
        {
            LogRefused(_logger, e.Message);
            link?.Dispose();
            socket.Dispose();
        }

        return null;
    }

    /// <summary>A source that speaks this version; null for one that does not.</summary>
    private HeardLink? TakeSource(HeardLink heard, Frame first)
    {
        MigrationHello hello = ReadHello(first);
        if (Version(hello) is not null)
        {
            return heard with { Hello = hello };
        }

        string reason = $"it speaks versions {hello.Lowest} to {hello.Highest} of the protocol, this cnvm {MigrationWire.Version}";
        LogRefused(_logger, reason);
        heard.Writer.WriteMagic();
        heard.Writer.WriteReason(FrameType.Failed, reason);
        return null;
    }

    /// <summary>Bids a source welcome; false if it is not let in, or gone.</summary>
    private bool Admit(HeardLink heard)
    {
        (MigrationLink link, FrameReader reader, FrameWriter writer) = heard;
        MigrationHello hello = heard.Hello!;
        try
        {
            writer.WriteMagic();
            ulong features = hello.Features & FeaturesOn(link);
            if ((features & (MigrationWire.FeatureLocal | MigrationWire.FeatureConnections)) != 0)
            {
                features &= ~(MigrationWire.FeaturePostcopy | MigrationWire.FeatureDelta);
            }

            if ((features & MigrationWire.FeaturePostcopy) != 0 && Userfaultfd.WhyNot() is { } why)
            {
                writer.WriteReason(FrameType.Failed, $"post-copy: {why}");
                link.CloseGently();
                throw new MigrationException(why);
            }

            if ((features & MigrationWire.FeatureLocal) != 0)
            {
                // Before the source knows that it may send them.
                link.ReceiveDescriptors(_descriptors);
            }

            var welcome = new MigrationWelcome(MigrationWire.Version, features, _options.Producer);
            writer.Write(FrameType.Welcome, StateWriter.Write(welcome, MigrationWelcome.Describe));
            link.Patience = (int)_options.Patience.TotalMilliseconds;
            lock (_linkGate)
            {
                if (_stop.IsAsked)
                {
                    throw new MigrationException("it was given up");
                }

                _link = link;
                _reader = reader;
                _writer = writer;
                _features = features;
            }

            _progress.Set(i => i with { Peer = hello.Producer, Compression = (features & MigrationWire.FeatureLz4) == 0 ? "none" : "lz4", Phase = MigrationPhase.Checking });
            return true;
        }
        catch (Exception e) when (e is MigrationException or IOException)
        {
            LogRefused(_logger, e.Message);
            link.Dispose();
            return false;
        }
    }

    /// <summary>The first message of a connection, which has to be whole in time however its bytes are spread.</summary>
    private Frame ReadFirst(SocketStream socket, FrameReader reader)
    {
        socket.ReadDeadline = Environment.TickCount64 + (long)_options.GreetingPatience.TotalMilliseconds;
        reader.ReadMagic();
        Frame frame = reader.Read(MigrationWire.FirstBytes);
        socket.ReadDeadline = long.MaxValue;
        return frame;
    }

    private static MigrationHello ReadHello(in Frame frame) =>
        frame.Type == FrameType.Hello
            ? StateReader.Read<MigrationHello>(frame.Payload.ToArray(), MigrationHello.Describe)
            : throw new MigrationException($"message {frame.Type} is out of place here");

    private static ushort? Version(MigrationHello hello) =>
        hello.Lowest <= MigrationWire.Version && hello.Highest >= MigrationWire.Version ? MigrationWire.Version : null;

    private static void RefuseGuest(FrameWriter writer)
    {
        writer.WriteMagic();
        writer.WriteReason(FrameType.Failed, "another guest is just arriving here");
    }

    /// <summary>On a thread of its own, from the moment on in which a source may lose its connection and has to know.</summary>
    private void AnswerQuestions()
    {
        NativeThread.ShowName();
        using var incoming = new IncomingConnections(_listener, Answer, reason => LogRefused(_logger, reason));
        while (!_listener.IsGivenUp)
        {
            try
            {
                _ = incoming.Next(-1);
            }
            catch (LinuxException e)
            {
                // The host is short of descriptors, say. The source of a guest that waits for memory must be let in when it has some again.
                LogAcceptFailed(_logger, e.Message);
                lock (_lateGate)
                {
                    _ = _isEnding || Monitor.Wait(_lateGate, LookMilliseconds);
                }
            }
        }
    }

    /// <summary>Null for all: who is back with what is missing is let in by the thread that hears it.</summary>
    private HeardLink? Answer(SocketStream socket)
    {
        _ = Hear(socket, (heard, first) =>
        {
            if (first.Type == FrameType.Continue)
            {
                return Continue(heard, IsSession(first.Payload)) ? heard : null;
            }

            _ = ReadHello(first);
            RefuseGuest(heard.Writer);
            return null;
        });
        return null;
    }
}
