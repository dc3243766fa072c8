using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Cnvm.Api.Http;
using Cnvm.Api.Json;
using Cnvm.Api.Tests.Machine;
using Cnvm.Vmm.Config;
using Xunit.Abstractions;

namespace Cnvm.Api.Tests.Fuzz;

/// <summary>Bodies made from the endpoints' own schemas, with everything wrong that can be.</summary>
[Collection(FuzzRun.Collection)]
public sealed class JsonFuzzTests(ITestOutputHelper output)
{
    private static readonly string[] Numbers =
    [
        "0", "1", "2", "3", "-1", "255", "256", "65535", "65536", "2147483648", "4294967296", "18446744073709551615", "18446744073709551616", "1e400",
        "1.5", "-0", "1E2", "4096", "536870912",
    ];

    private static readonly string[] Texts =
    [
        "\"\"", "\"a\"", "\"/k\"", "\"\\u0000\"", "\"\\ud800\"", "\"\\uD83D\\uDE00\"", "\"Raw\"", "\"raw\"", "\"Off\"", "\"__rng\"", "\"_disk0\"", "\"2e:89:a8:e4:bf:0d\"",
        "\"::1\"", "\"192.168.249.1\"", "\"file:///d\"", "\"tcp:h:1\"", "\"\\\"\"", "\"\u00e9\"", "\"tap0\"",
    ];

    /// <summary>Numbers and texts that every field's type can hold, so that most bodies get past the reader.</summary>
    private static readonly string[] RightNumbers = ["0", "1", "1", "1", "2", "3", "4", "46", "64", "100"];

    private static readonly string[] RightTexts =
        ["\"/k\"", "\"a\"", "\"\"", "\"_disk0\"", "\"2e:89:a8:e4:bf:0d\"", "\"192.168.249.1\"", "\"file:///d\"", "\"tcp:h:1\"", "\"unix:/s\"", "\"\\u0000\"", "\"\u00e9\""];

    private static readonly string[] Oddities = ["null", "true", "false", "[]", "{}", "[[]]", "[null]", "{\"a\":1}", "", "tru", "{\"a\":1,\"a\":1}", "\"unclosed", "NaN"];

    [Fact]
    public void A_body_is_refused_by_field_or_carried_out_and_never_a_defect()
    {
        var log = new DefectLog();
        var vmm = new FakeVmm();
        var router = new ApiRouter(vmm, log);
        var statuses = new SortedDictionary<int, int>();
        ApiRoute[] routes = [.. router.Routes.Where(r => r.Body is not null)];
        FuzzRun.Repeat(output, 4000, random =>
        {
            ApiRoute route = routes[random.Next(routes.Length)];
            byte[] body = Body(random, route.Body!());
            vmm.Delete();
            if (route.Name != "vm.create" && random.Next(4) > 0)
            {
                vmm.Create(new VmConfig(Payload: new PayloadConfig(Kernel: "/k")));
            }

            using var request = new HttpRequest { Method = "PUT", Path = "/api/v1/" + route.Name, Body = body, Descriptors = [] };
            HttpResponse? answer = null;
            router.Handle(request, r => answer = r);
            // Some answers come when a migration is over.
            vmm.EndMigration();
            log.ExpectNone();
            HttpResponse response = answer ?? throw new InvalidOperationException($"{route.Name} was never answered");
            statuses[response.Status] = statuses.GetValueOrDefault(response.Status) + 1;
            Assert.Contains(response.Status, (int[])[200, 204, 400, 404, 409, 500]);
            Assert.All(response.Body, b => Assert.InRange(b, 0x20, 0x7e));
            if (response.Status >= 400)
            {
                Assert.All(JsonDocument.Parse(response.Body).RootElement.EnumerateArray(), e => Assert.Equal(JsonValueKind.String, e.ValueKind));
            }
            else if (route.Name == "vm.create")
            {
                ExpectEcho(router, vmm);
            }
        });
        output.WriteLine(string.Join(", ", statuses.Select(s => $"{s.Key}: {s.Value}")));
        // A generator whose bodies are all refused would test the parser only.
        Assert.True(Environment.GetEnvironmentVariable("CNVM_FUZZ_SEED") is not null || statuses.ContainsKey(204));
    }

    /// <summary>What <c>vm.info</c> shows can be sent again and is the same machine.</summary>
    private static void ExpectEcho(ApiRouter router, FakeVmm vmm)
    {
        byte[] once = JsonBody.Write(vmm.Config!, ApiJsonContext.Default.VmConfig);
        vmm.Delete();
        using var again = new HttpRequest { Method = "PUT", Path = "/api/v1/vm.create", Body = once, Descriptors = [] };
        Assert.Equal(204, router.Handle(again).Status);
        Assert.Equal(Encoding.ASCII.GetString(once), Encoding.ASCII.GetString(JsonBody.Write(vmm.Config!, ApiJsonContext.Default.VmConfig)));
    }

    private static byte[] Body(Random random, JsonTypeInfo type)
    {
        var text = new StringBuilder();
        // How often something is wrong: some bodies are right, so that what lies behind the parser is reached too.
        double wrong = random.Next(4) switch { 0 => 0, 1 => 0.02, 2 => 0.1, _ => 0.3 };
        Write(random, text, type, wrong, depth: 0);
        switch (random.Next(40))
        {
            case 0:
                text.Length = random.Next(text.Length + 1);
                break;
            case 1:
                text.Insert(random.Next(text.Length + 1), (char)random.Next(256));
                break;
            case 2:
                string open = random.Next(2) == 0 ? "[" : "{\"a\":";
                text.Insert(0, string.Concat(Enumerable.Repeat(open, random.Next(1, 5000))));
                break;
            case 3:
                text.Append(text);
                break;
        }

        byte[] bytes = random.Next(20) == 0 ? Encoding.Latin1.GetBytes(text.ToString()) : Encoding.UTF8.GetBytes(text.ToString());
        return bytes.Length == 0 ? [0] : bytes;
    }

    private static void Write(Random random, StringBuilder text, JsonTypeInfo type, double wrong, int depth)
    {
        if (random.NextDouble() < wrong)
        {
            text.Append(Oddity(random));
        }
        else if (type.Kind == JsonTypeInfoKind.Object)
        {
            WriteObject(random, text, type, wrong, depth);
        }
        else if (type.Kind == JsonTypeInfoKind.Enumerable)
        {
            text.Append('[');
            int count = random.Next(4);
            for (int i = 0; i < count; i++)
            {
                text.Append(i == 0 ? "" : ",");
                if (random.NextDouble() < wrong / 4)
                {
                    text.Append("null");
                }
                else
                {
                    Write(random, text, ApiJsonContext.Default.GetTypeInfo(type.ElementType!)!, wrong, depth + 1);
                }
            }

            text.Append(']');
        }
        else
        {
            text.Append(random.NextDouble() < wrong ? Oddity(random) : Scalar(random, Nullable.GetUnderlyingType(type.Type) ?? type.Type));
        }
    }

    private static void WriteObject(Random random, StringBuilder text, JsonTypeInfo type, double wrong, int depth)
    {
        text.Append('{');
        bool first = true;
        foreach (JsonPropertyInfo property in type.Properties)
        {
            if (!property.IsRequired && random.Next(depth == 0 ? 3 : 2) > 0 && property.Name != "payload")
            {
                continue;
            }

            for (int times = random.NextDouble() < wrong / 10 ? 2 : 1; times > 0; times--)
            {
                text.Append(first ? "\"" : ",\"").Append(property.Name).Append("\":");
                first = false;
                if (!property.IsRequired && IsNullable(property.PropertyType) && random.Next(6) == 0)
                {
                    text.Append("null");
                }
                else
                {
                    Write(random, text, ApiJsonContext.Default.GetTypeInfo(property.PropertyType)!, wrong, depth + 1);
                }
            }
        }

        if (random.Next(10) == 0)
        {
            text.Append(first ? "" : ",").Append("\"unknown\":").Append(Numbers[0]);
        }

        text.Append('}');
    }

    private static bool IsNullable(Type type) => !type.IsValueType || Nullable.GetUnderlyingType(type) is not null;

    private static string Oddity(Random random) => random.Next(3) switch
    {
        0 => Numbers[random.Next(Numbers.Length)],
        1 => Texts[random.Next(Texts.Length)],
        _ => Oddities[random.Next(Oddities.Length)],
    };

    private static string Scalar(Random random, Type type)
    {
        if (type == typeof(string))
        {
            return RightTexts[random.Next(RightTexts.Length)];
        }

        if (type == typeof(bool))
        {
            return random.Next(3) == 0 ? "true" : "false";
        }

        if (type.IsEnum)
        {
            string[] names = Enum.GetNames(type);
            return $"\"{names[random.Next(names.Length)]}\"";
        }

        return RightNumbers[random.Next(RightNumbers.Length)];
    }
}
