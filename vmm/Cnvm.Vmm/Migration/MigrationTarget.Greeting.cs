using System.Buffers;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Linux;

namespace Cnvm.Vmm.Migration;

// Connections: those that bring a guest, those that ask, and those that have no business here.
internal sealed partial class MigrationTarget
{
    private const int AnswerStackBytes = 256 << 10;

    /// <summary>Lets sources in until one has introduced itself; false if it was given up.</summary>
    private bool WaitForSource()
    {
        while (!_stop.IsAsked && _listener.Accept(-1) is { } socket)
        {
            if (Admit(socket) is not { } hello)
            {
                continue;
            }

            _session = hello.Session;
            return true;
        }

        return false;
    }

    /// <summary>Greets whoever connected; null for one that is not to be dealt with any further.</summary>
    private MigrationHello? Admit(SocketStream socket)
    {
        // A stranger may stay silent as long as a source may take to say who it is, and then the next one has its turn.
        socket.ReadTimeout = socket.WriteTimeout = (int)_options.GreetingPatience.TotalMilliseconds;
        MigrationLink? link = null;
        try
        {
            link = _wrap(socket);
            var reader = new FrameReader(link.Stream);
            var writer = new FrameWriter(link.Stream);
            MigrationHello hello = ReadHello(ReadFirst(socket, reader));
            writer.WriteMagic();
            if (hello.IsQuestion)
            {
                writer.Write(FrameType.Answer, [(byte)_decisions.Ask(hello.Session)]);
                link.CloseGently();
                link.Dispose();
                return null;
            }

            if (Version(hello) is not { } version)
            {
                string reason = $"it speaks versions {hello.Lowest} to {hello.Highest} of the protocol, this cnvm {MigrationWire.Version}";
                writer.WriteReason(FrameType.Failed, reason);
                link.CloseGently();
                throw new MigrationException(reason);
            }

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

            writer.Write(FrameType.Welcome, StateWriter.Write(new MigrationWelcome(version, features, _options.Producer), MigrationWelcome.Describe));
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
            return hello;
        }
        catch (Exception e) when (e is MigrationException or IOException or StateFormatException)
        {
            LogRefused(_logger, e.Message);
            link?.Dispose();
            socket.Dispose();
            return null;
        }
    }

    /// <summary>The first message of a connection, which has to be whole in time however its bytes are spread.</summary>
    private Frame ReadFirst(SocketStream socket, FrameReader reader)
    {
        socket.ReadDeadline = Environment.TickCount64 + (long)_options.GreetingPatience.TotalMilliseconds;
        reader.ReadMagic();
        Frame frame = reader.Read();
        socket.ReadDeadline = long.MaxValue;
        return frame;
    }

    private static MigrationHello ReadHello(in Frame frame) =>
        frame.Type == FrameType.Hello
            ? StateReader.Read<MigrationHello>(frame.Payload.ToArray(), MigrationHello.Describe)
            : throw new MigrationException($"message {frame.Type} is out of place here");

    private static ushort? Version(MigrationHello hello) =>
        hello.Lowest <= MigrationWire.Version && hello.Highest >= MigrationWire.Version ? MigrationWire.Version : null;

    /// <summary>On a thread of its own, from the moment on in which a source may lose its connection and has to know.</summary>
    private void AnswerQuestions()
    {
        NativeThread.ShowName();
        while (!TryAnswer())
        {
            // The host is short of descriptors, say. The source of a guest that waits for memory must be let in when it has some again.
            lock (_lateGate)
            {
                _ = _isEnding || Monitor.Wait(_lateGate, LookMilliseconds);
            }
        }
    }

    /// <summary>False if the host lets nobody in now.</summary>
    private bool TryAnswer()
    {
        try
        {
            while (_listener.Accept(-1) is { } socket)
            {
                Answer(socket);
            }

            return true;
        }
        catch (LinuxException e)
        {
            LogAcceptFailed(_logger, e.Message);
            return false;
        }
    }

    private void Answer(SocketStream socket)
    {
        socket.ReadTimeout = socket.WriteTimeout = (int)_options.GreetingPatience.TotalMilliseconds;
        MigrationLink? link = null;
        try
        {
            link = _wrap(socket);
            var writer = new FrameWriter(link.Stream);
            var reader = new FrameReader(link.Stream);
            Frame first = ReadFirst(socket, reader);
            if (first.Type == FrameType.Continue)
            {
                if (Continue(link, reader, writer, IsSession(first.Payload)))
                {
                    // It is the migration's from now on.
                    link = null;
                }

                return;
            }

            MigrationHello hello = ReadHello(first);
            writer.WriteMagic();
            if (hello.IsQuestion)
            {
                writer.Write(FrameType.Answer, [(byte)_decisions.Ask(hello.Session)]);
            }
            else
            {
                writer.WriteReason(FrameType.Failed, "another guest is just arriving here");
            }

            link.CloseGently();
        }
        catch (Exception e) when (e is MigrationException or IOException or StateFormatException)
        {
            LogRefused(_logger, e.Message);
            socket.Dispose();
        }
        finally
        {
            link?.Dispose();
        }
    }
}
