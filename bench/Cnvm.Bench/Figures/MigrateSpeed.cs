using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Cnvm.Bench.Machines;
using Cnvm.Tests;

namespace Cnvm.Bench.Figures;

/// <summary>
/// A machine of 1 GiB whose memory is full and that is paused moves over TCP on loopback, without compression, against as many bytes that
/// one thread sends and another one receives into memory that nobody has used before, as a target's is; and through TLS.
/// </summary>
internal sealed class MigrateSpeed(Workspace workspace) : Experiment
{
    private const string CopySide = "plain-copy";
    private const string TlsSide = "cnvm-tls";
    private const int MemoryMiB = 1024;
    private const int BlockBytes = 1 << 20;
    private const double MiB = 1 << 20;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);
    private int _count;

    public override IReadOnlyList<Measure> Measures { get; } =
        [new("migrate-speed", "MiB/s", "a paused machine with 1 GiB moves on loopback, against a plain copy through a socket", HigherIsBetter: true)];

    public override IReadOnlyList<string> Sides { get; } = ["cnvm", CopySide, TlsSide];

    protected override int DefaultRounds => 3;

    private string Certificates => workspace.File("certificates");

    protected override double[] Sample(string side) => [side == CopySide ? Copy() : Move(side == TlsSide)];

    protected override void SetUp()
    {
        using var authority = new TestAuthority("cnvm benchmark");
        authority.Fill(Certificates);
    }

    private double Move(bool isSecure)
    {
        string tls = isSecure ? $",\"tls_dir\":\"{Certificates}\"" : "";
        string socket = workspace.File($"speed-{_count++}");
        string there = workspace.File($"speed-{_count++}");
        using SnapshotGuest guest = SnapshotGuest.Boot(workspace, socket, MemoryMiB);
        guest.Pause();
        using Child target = new CnvmVmm().Start(workspace, new GuestPlan { ControlSocket = there }, Limit);
        using var receiver = new CnvmMigration(target, there, tls);
        using var sender = new CnvmMigration(guest.Process, socket, tls + ",\"compression\":\"None\"");
        string url = MigrateGuest.FreeUrl();
        receiver.Receive(url);
        MoveResult result = sender.Send(url, downtimeMilliseconds: 300);
        return result.Bytes / MiB / (result.TotalMilliseconds / 1000);
    }

    private static unsafe double Copy()
    {
        const int Blocks = 960;
        byte[] source = new byte[BlockBytes];
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        using var sender = new Socket(SocketType.Stream, ProtocolType.Tcp);
        sender.Connect(listener.LocalEndpoint);
        using Socket receiver = listener.AcceptSocket();
        long begin = Child.Now;
        var sending = new Thread(() =>
        {
            for (int i = 0; i < Blocks; i++)
            {
                sender.Send(source);
            }
        });
        sending.Start();

        // SAFETY: as many bytes as are written, freed at the end.
        byte* received = (byte*)NativeMemory.Alloc((nuint)Blocks * BlockBytes);
        try
        {
            for (long at = 0; at < (long)Blocks * BlockBytes;)
            {
                int count = receiver.Receive(new Span<byte>(received + at, (int)Math.Min(BlockBytes, ((long)Blocks * BlockBytes) - at)));
                at += count > 0 ? count : throw new MeasurementException("the plain copy ended early");
            }

            double seconds = (Child.Now - begin) / 1e9;
            sending.Join();
            return Blocks * (BlockBytes / MiB) / seconds;
        }
        finally
        {
            NativeMemory.Free(received);
        }
    }
}
