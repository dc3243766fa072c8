using System.Diagnostics;
using System.Text.Json.Serialization.Metadata;
using Cnvm.Api.Http;
using Cnvm.Api.Json;
using Cnvm.Vmm;
using Microsoft.Extensions.Logging;

namespace Cnvm.Api;

/// <summary>Maps requests to calls of <see cref="IVmm"/>, and what comes of them to answers.</summary>
internal sealed partial class ApiRouter
{
    private const string Base = "/api/v1/";
    private readonly IVmm _vmm;
    private readonly ILogger _logger;
    private readonly Dictionary<string, ApiRoute> _routes = new(StringComparer.Ordinal);

    public ApiRouter(IVmm vmm, ILogger logger)
    {
        _vmm = vmm;
        _logger = logger;
        foreach (ApiRoute route in MakeRoutes())
        {
            _routes.Add(route.Name, route);
        }
    }

    /// <summary>All endpoints.</summary>
    public IEnumerable<ApiRoute> Routes => _routes.Values;

    /// <summary>Answer to input that is no request.</summary>
    public static HttpResponse BadRequest(string reason) => Error(400, "Error from API", "The HTTP request is not valid", reason);

    /// <summary>Whether <see cref="Handle(HttpRequest)"/> returns without waiting for anything.</summary>
    public bool AnswersAtOnce(HttpRequest request) => Find(request)?.AnswersAtOnce is not false;

    /// <summary>Carries out a request; never throws.</summary>
    public HttpResponse Handle(HttpRequest request)
    {
        ApiRoute? route = Find(request);
        if (route is null)
        {
            return Error(404, "Error from API", $"There is no {request.Path}");
        }

        LogRequest(_logger, request.Method, route.Name, request.Body.Length, request.Descriptors.Count);
        HttpResponse response = Handle(request, route);
        LogResponse(_logger, route.Name, response.Status);
        route.Latency.Add(Stopwatch.GetElapsedTime(request.Arrived), response.Status);
        return response;
    }

    private HttpResponse Handle(HttpRequest request, ApiRoute route)
    {
        try
        {
            CheckForm(request, route);
            return route.Handle(request);
        }
        catch (VmmException e)
        {
            LogRefused(_logger, route.Name, e);
            return Error(StatusOf(e.Kind), Chain(route, e));
        }
#pragma warning disable CA1031 // The API answers whatever goes wrong inside a call; the log has the details.
        catch (Exception e)
#pragma warning restore CA1031
        {
            LogFailed(_logger, route.Name, e);
            return Error(500, Chain(route, e));
        }
    }

    private ApiRoute? Find(HttpRequest request)
    {
        if (!request.Path.StartsWith(Base, StringComparison.Ordinal))
        {
            return null;
        }

        ReadOnlySpan<char> name = request.Path.AsSpan(Base.Length);
        int query = name.IndexOf('?');
        return _routes.GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(query < 0 ? name : name[..query], out ApiRoute? route)
            && (query < 0 || route.MustWait is not null)
                ? route
                : null;
    }

    private static void CheckForm(HttpRequest request, ApiRoute route)
    {
        if (request.Method != route.Method)
        {
            throw new VmmException(VmmErrorKind.Invalid, $"{request.Path} takes {route.Method}, not {request.Method}");
        }

        if (route.Body is null && request.Body.Length > 0)
        {
            throw new VmmException(VmmErrorKind.Invalid, $"{request.Path} takes no body");
        }

        if (route.Body is not null && request.Body.Length == 0)
        {
            throw new VmmException(VmmErrorKind.Invalid, $"{request.Path} needs a JSON body");
        }
    }

    private static HttpResponse Json<T>(T value, JsonTypeInfo<T> type) => new(200, JsonBody.Write(value, type));

    private static HttpResponse Error(int status, params string[] chain) =>
        new(status, JsonBody.Write(chain, ApiJsonContext.Default.StringArray));

    private static string[] Chain(ApiRoute route, Exception exception)
    {
        List<string> chain = ["Error from API"];
        if (route.Failure is { } failure)
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
