using Cnvm.Shim.Messages;
using Microsoft.Extensions.Logging;

namespace Cnvm.Shim.Streams;

/// <summary>Opens the streams of processes.</summary>
/// <param name="space">containerd's namespace, which logging programs are told.</param>
internal sealed class StreamOpener(ReadinessLoop loop, string space, ILogger logger)
{
    /// <param name="id">Of the container or further process.</param>
    /// <param name="request">Names the streams.</param>
    /// <exception cref="Ttrpc.TtrpcException">One cannot be opened.</exception>
    public async Task<StandardStreams> OpenAsync(string id, CreateTaskRequest request)
    {
        if (!LoggingProgram.IsNamedBy(request.Stdout))
        {
            return new StandardStreams(loop, request, null, logger);
        }

        LoggingProgram program = await LoggingProgram.StartAsync(loop, request.Stdout, id, space, logger);
        try
        {
            return new StandardStreams(loop, request, program, logger);
        }
        catch
        {
            await program.DisposeAsync();
            throw;
        }
    }
}
