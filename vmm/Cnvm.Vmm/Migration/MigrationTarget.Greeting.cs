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
            MigrationHello hello = ReadHello(reader);
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

            ulong features = hello.Features & (Lz4.IsAvailable ? MigrationWire.FeatureLz4 : 0);
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
            }

            _progress.Set(i => i with { Peer = hello.Producer, Compression = features == 0 ? "none" : "lz4", Phase = MigrationPhase.Checking });
            return hello;
        }
        catch (Exception e) when (e is MigrationException or IOException or StateFormatException or System.Security.Authentication.AuthenticationException)
        {
            LogRefused(_logger, e.Message);
            link?.Dispose();
            socket.Dispose();
            return null;
        }
    }

    private static MigrationHello ReadHello(FrameReader reader)
    {
        reader.ReadMagic();
        Frame frame = reader.Read();
        return frame.Type == FrameType.Hello
            ? StateReader.Read<MigrationHello>(frame.Payload.ToArray(), MigrationHello.Describe)
            : throw new MigrationException($"message {frame.Type} is out of place here");
    }

    private static ushort? Version(MigrationHello hello) =>
        hello.Lowest <= MigrationWire.Version && hello.Highest >= MigrationWire.Version ? MigrationWire.Version : null;

    /// <summary>On a thread of its own, from the moment on in which a source may lose its connection and has to know.</summary>
    private void AnswerQuestions()
    {
        NativeThread.ShowName();
        try
        {
            while (_listener.Accept(-1) is { } socket)
            {
                Answer(socket);
            }
        }
        catch (LinuxException e)
        {
            LogAcceptFailed(_logger, e.Message);
        }
    }

    private void Answer(SocketStream socket)
    {
        socket.ReadTimeout = socket.WriteTimeout = (int)_options.GreetingPatience.TotalMilliseconds;
        try
        {
            using MigrationLink link = _wrap(socket);
            var writer = new FrameWriter(link.Stream);
            MigrationHello hello = ReadHello(new FrameReader(link.Stream));
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
        catch (Exception e) when (e is MigrationException or IOException or StateFormatException or System.Security.Authentication.AuthenticationException)
        {
            LogRefused(_logger, e.Message);
            socket.Dispose();
        }
    }
}
