using Cnvm.Api.Http;
using Cnvm.Api.Json;
using Cnvm.Vmm;
using Cnvm.Vmm.Snapshot;

namespace Cnvm.Api;

/// <content>Snapshot and restore.</content>
internal sealed partial class ApiRouter
{
    private HttpResponse Snapshot(HttpRequest request)
    {
        RequireMethod(request, "PUT");
        RequireBody(request);
        _vmm.Snapshot(JsonBody.Read(request.Body, ApiJsonContext.Default.SnapshotConfig));
        return new HttpResponse(204);
    }

    private HttpResponse Restore(HttpRequest request)
    {
        RequireMethod(request, "PUT");
        RequireBody(request);
        RestoreConfig config = JsonBody.Read(request.Body, ApiJsonContext.Default.RestoreConfig);
        _vmm.Restore(config with { NetFds = WithDescriptors(config.NetFds, request) });
        return new HttpResponse(204);
    }

    /// <summary>Shares the request's descriptors out, in the order in which the body names their interfaces.</summary>
    private static List<RestoredNetConfig>? WithDescriptors(IReadOnlyList<RestoredNetConfig>? nets, HttpRequest request)
    {
        long named = nets?.Sum(n => (long)n.NumFds) ?? 0;
        if (named != request.Descriptors.Count || nets?.Any(n => n.NumFds < 1) is true)
        {
            throw new VmmException(
                VmmErrorKind.Invalid, $"net_fds names {named} descriptors, {request.Descriptors.Count} came with the request");
        }

        int next = 0;
        return nets?.Select(n => n with { Fds = [.. Enumerable.Range(0, n.NumFds).Select(_ => request.Descriptors[next++].Value)] }).ToList();
    }
}
