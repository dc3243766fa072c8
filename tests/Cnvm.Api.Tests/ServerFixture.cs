using Cnvm.Linux;
using Cnvm.Vmm;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Api.Tests;

/// <summary>A running server on a socket of its own, with a fake VMM behind it.</summary>
internal sealed class ServerFixture : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("cnvm-api").FullName;
    private readonly VmmThread _thread = new();
    private readonly ApiServer _server;

    public ServerFixture()
    {
        SocketPath = Path.Combine(_folder, "api.sock");
        _server = new ApiServer(UnixListener.Bind(SocketPath, ApiServer.Backlog), Vmm, _thread, NullLogger.Instance);
        _server.ShutdownRequested += () => ShutdownRequested.Set();
        _server.Start();
    }

    public FakeVmm Vmm { get; } = new();

    public string SocketPath { get; }

    public ManualResetEventSlim ShutdownRequested { get; } = new(false);

    public RawClient Connect() => new(SocketPath);

    public void Dispose()
    {
        _server.Dispose();
        _thread.Dispose();
        Directory.Delete(_folder, recursive: true);
    }
}
