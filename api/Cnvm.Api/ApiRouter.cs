using System.Text.Json.Serialization.Metadata;
using Cnvm.Api.Http;
using Cnvm.Api.Json;
using Cnvm.Vmm;
using Cnvm.Vmm.Config;
using Microsoft.Extensions.Logging;

namespace Cnvm.Api;

/// <summary>Maps requests to calls of <see cref="IVmm"/>, and what comes of them to answers.</summary>
internal sealed partial class ApiRouter
{
    private const string Base = "/api/v1/";
    private const string PingPath = Base + "vmm.ping";
    private readonly IVmm _vmm;
    private readonly ILogger _logger;

    public ApiRouter(IVmm vmm, ILogger logger)
    {
        _vmm = vmm;
        _logger = logger;
    }

    /// <summary>Answer to input that is no request.</summary>
    public static HttpResponse BadRequest(string reason) => Error(400, "Error from API", "The HTTP request is not valid", reason);

    /// <summary>Whether <see cref="Handle"/> returns without waiting for anything.</summary>
    public static bool AnswersAtOnce(HttpRequest request) => request.Path == PingPath;

    /// <summary>Carries out a request; never throws.</summary>
    public HttpResponse Handle(HttpRequest request)
    {
        string endpoint = request.Path.StartsWith(Base, StringComparison.Ordinal) ? request.Path[Base.Length..] : "";
        LogRequest(_logger, request.Method, endpoint, request.Body.Length, request.Descriptors.Count);
        try
        {
            HttpResponse response = Route(request, endpoint);
            LogResponse(_logger, endpoint, response.Status);
            return response;
        }
        catch (VmmException e)
        {
            LogRefused(_logger, endpoint, e);
            return Error(StatusOf(e.Kind), Chain(endpoint, e));
        }
#pragma warning disable CA1031 // The API answers whatever goes wrong inside a call; the log has the details.
        catch (Exception e)
#pragma warning restore CA1031
        {
            LogFailed(_logger, endpoint, e);
            return Error(500, Chain(endpoint, e));
        }
    }

    private HttpResponse Route(HttpRequest request, string endpoint) => endpoint switch
    {
        "vmm.ping" => Get(request, () => Json(_vmm.Ping(), ApiJsonContext.Default.VmmPing)),
        "vm.info" => Get(request, () => Json(_vmm.Info(), ApiJsonContext.Default.VmInfo)),
        "vm.counters" => Get(request, () => Json(_vmm.Counters(), ApiJsonContext.Default.Counters)),
        "vmm.shutdown" => Action(request, _vmm.ShutdownVmm, new HttpResponse(200, endsServer: true)),
        "vm.create" => Create(request),
        "vm.boot" => Action(request, _vmm.Boot),
        "vm.pause" => Action(request, _vmm.Pause),
        "vm.resume" => Action(request, _vmm.Resume),
        "vm.reboot" => Action(request, _vmm.Reboot),
        "vm.power-button" => Action(request, _vmm.PowerButton),
        "vm.nmi" => Action(request, _vmm.Nmi),
        "vm.shutdown" => Action(request, _vmm.Shutdown),
        "vm.delete" => Action(request, _vmm.Delete),
        "vm.snapshot" => Snapshot(request),
        "vm.restore" => Restore(request),
        "vm.resize" or "vm.resize-disk" or "vm.resize-zone" or "vm.remove-device" or "vm.add-device" or "vm.add-user-device"
            or "vm.add-disk" or "vm.add-fs" or "vm.add-generic-vhost-user" or "vm.add-pmem" or "vm.add-net" or "vm.add-vdpa"
            or "vm.add-vsock" or "vm.coredump" or "vm.receive-migration" or "vm.send-migration"
            => Unsupported(request, endpoint),
        _ => Error(404, "Error from API", $"There is no {request.Path}"),
    };

    private static HttpResponse Get(HttpRequest request, Func<HttpResponse> answer)
    {
        RequireMethod(request, "GET");
        RequireNoBody(request);
        return answer();
    }

    private static HttpResponse Action(HttpRequest request, Action action, HttpResponse? answer = null)
    {
        RequireMethod(request, "PUT");
        RequireNoBody(request);
        action();
        return answer ?? new HttpResponse(204);
    }

    // Descriptors are not taken here: those named in the body are numbers of another process.
    private HttpResponse Create(HttpRequest request)
    {
        RequireMethod(request, "PUT");
        RequireBody(request);
        VmConfig config = JsonBody.Read(request.Body, ApiJsonContext.Default.VmConfig);
        if (config.Net is { } nets)
        {
            config = config with { Net = [.. nets.Select(n => n with { Fds = null })] };
        }

        VmConfigValidator.ThrowIfInvalid(config);
        _vmm.Create(config);
        return new HttpResponse(204);
    }

    private static HttpResponse Unsupported(HttpRequest request, string endpoint)
    {
        RequireMethod(request, "PUT");
        RequireBody(request);
        return Error(500, "Error from API", $"{endpoint} is not supported yet by cnvm");
    }

    private static void RequireMethod(HttpRequest request, string method)
    {
        if (request.Method != method)
        {
            throw new VmmException(VmmErrorKind.Invalid, $"{request.Path} takes {method}, not {request.Method}");
        }
    }

    private static void RequireNoBody(HttpRequest request)
    {
        if (request.Body.Length > 0)
        {
            throw new VmmException(VmmErrorKind.Invalid, $"{request.Path} takes no body");
        }
    }

    private static void RequireBody(HttpRequest request)
    {
        if (request.Body.Length == 0)
        {
            throw new VmmException(VmmErrorKind.Invalid, $"{request.Path} needs a JSON body");
        }
    }

    private static HttpResponse Json<T>(T value, JsonTypeInfo<T> type) => new(200, JsonBody.Write(value, type));

    private static HttpResponse Error(int status, params string[] chain) =>
        new(status, JsonBody.Write(chain, ApiJsonContext.Default.StringArray));

    private static string[] Chain(string endpoint, Exception exception)
    {
        List<string> chain = ["Error from API"];
        if (FailureOf(endpoint) is { } failure)
        {
            chain.Add(failure);
        }

        for (Exception? e = exception; e is not null; e = e.InnerException)
        {
            // Layers that only change an exception's type repeat its message.
            if (chain[^1] != e.Message)
            {
                chain.Add(e.Message);
            }
        }

        return [.. chain];
    }

    private static string? FailureOf(string endpoint) => endpoint switch
    {
        "vm.create" => "The VM could not be created",
        "vm.boot" => "The VM could not boot",
        "vm.info" => "The VM info is not available",
        "vm.counters" => "The VM counters are not available",
        "vm.pause" => "The VM could not be paused",
        "vm.resume" => "The VM could not resume",
        "vm.reboot" => "The VM could not reboot",
        "vm.power-button" => "The power button could not be pressed",
        "vm.nmi" => "The NMI could not be sent",
        "vm.shutdown" => "The VM could not be shut down",
        "vm.delete" => "The VM could not be deleted",
        "vm.snapshot" => "The VM could not be snapshotted",
        "vm.restore" => "The VM could not be restored",
        "vmm.shutdown" => "The VMM could not be shut down",
        _ => null,
    };

    private static int StatusOf(VmmErrorKind kind) => kind switch
    {
        VmmErrorKind.Invalid => 400,
        VmmErrorKind.NotFound => 404,
        VmmErrorKind.Conflict => 409,
        VmmErrorKind.Busy => 429,
        _ => 500,
    };

    [LoggerMessage(Level = LogLevel.Debug, Message = "API request: {Method} {Endpoint}, {Bytes} bytes, {Descriptors} descriptors")]
    private static partial void LogRequest(ILogger logger, string method, string endpoint, int bytes, int descriptors);

    [LoggerMessage(Level = LogLevel.Debug, Message = "API answer: {Endpoint} {Status}")]
    private static partial void LogResponse(ILogger logger, string endpoint, int status);

    [LoggerMessage(Level = LogLevel.Warning, Message = "API call {Endpoint} refused")]
    private static partial void LogRefused(ILogger logger, string endpoint, Exception exception);

    [LoggerMessage(Level = LogLevel.Error, Message = "API call {Endpoint} failed")]
    private static partial void LogFailed(ILogger logger, string endpoint, Exception exception);
}
