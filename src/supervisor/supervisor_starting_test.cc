// What becomes of a guest until it takes commands, or never does.

#include <chrono>
#include <string>

#include <gtest/gtest.h>

#include "supervisor/testing/supervisor_fixture.h"

namespace pyro::supervisor {
namespace {

using namespace std::chrono_literals;

class SupervisorStartingTest : public SupervisorFixture {
 protected:
  bool HasTemplate() const { return vmm::OpenTemplate(config_.templ.directory, "key").ok(); }
};

TEST_F(SupervisorStartingTest, ABootGoesFromHelloToReady) {
  ASSERT_NO_FATAL_FAILURE(Begin());
  FramePeer& client = Client();
  Frames told = client.Take();
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[0].type, Type::kHello);
  EXPECT_EQ(wire::Progress::FromFrame(told[1])->phase, "boot");

  AgentGreets();
  const Frames asked = Agent().Take();
  ASSERT_EQ(asked.size(), 2u);
  EXPECT_EQ(wire::Hello::FromFrame(asked[0])->role, "supervisor");
  const auto setup = wire::GuestSetup::FromFrame(asked[1]);
  ASSERT_TRUE(setup.ok());
  EXPECT_EQ(std::chrono::nanoseconds(setup->wall_clock_ns), clock_.Now().time_since_epoch());
  EXPECT_EQ(setup->hostname, "pyro-" + config_.id.substr(3, 8));
  EXPECT_FALSE(setup->network);
  told = client.Take();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(wire::Progress::FromFrame(told[0])->phase, "setup");
  EXPECT_TRUE(record_.notes.empty());

  AgentIsReady();
  EXPECT_EQ(record_.notes, (std::vector<std::string>{"started by boot"}));
  told = client.Take();
  ASSERT_EQ(told.size(), 1u);
  const auto ready = wire::Ready::FromFrame(told[0]);
  ASSERT_TRUE(ready.ok());
  EXPECT_EQ(ready->kernel, "6.1");
  EXPECT_EQ(ready->accelerator, "tcg");
  EXPECT_EQ(ready->start, "boot");
  EXPECT_GT(ready->machine_at_us, 0);
  EXPECT_EQ(readies_, 1);

  // A client that comes later is told the same at once.
  EXPECT_TRUE(Has(Client().Take(), Type::kReady));
}

TEST_F(SupervisorStartingTest, TheMachineGetsWhatWasConfigured) {
  config_.vcpu_count = 3;
  config_.mem_mib = 512;
  config_.accelerator = "kvm";
  ASSERT_NO_FATAL_FAILURE(Begin());
  EXPECT_EQ(vmm_.last_spec().vcpus, 3);
  EXPECT_EQ(vmm_.last_spec().memory_mib, 512);
  EXPECT_EQ(vmm_.last_spec().accelerator, vmm::Accelerator::kKvm);
  EXPECT_EQ(vmm_.last_spec().identity, config_.id);
  EXPECT_FALSE(vmm_.last_spec().network);
}

TEST_F(SupervisorStartingTest, AnAgentOfAnotherBuildIsRefused) {
  ASSERT_NO_FATAL_FAILURE(Begin());
  FramePeer& client = Client();
  AgentGreets("another");
  EXPECT_NE(ErrorIn(client.Take()).find("the agent is of build 'another'"), std::string::npos);
  EXPECT_TRUE(Guest().ended());
  EXPECT_EQ(ends_, 1);
}

TEST_F(SupervisorStartingTest, ABreachOfTheProtocolEndsTheGuest) {
  const wire::Frame started = wire::Plain(Type::kStarted, 1);
  const wire::Frame ready = wire::Ready{}.ToFrame();
  const wire::Frame stray = wire::Plain(Type::kStopped);
  for (const wire::Frame& frame : {started, ready, stray}) {
    SCOPED_TRACE(static_cast<int>(frame.type));
    ASSERT_NO_FATAL_FAILURE(Begin());
    FramePeer& client = Client();
    client.Take();
    AgentSays(frame);
    EXPECT_NE(ErrorIn(client.Take()).find("broke the protocol"), std::string::npos);
    EXPECT_TRUE(Guest().ended());
    supervisor_.reset();
  }
}

TEST_F(SupervisorStartingTest, HelloTwiceIsABreach) {
  ASSERT_NO_FATAL_FAILURE(Begin());
  FramePeer& client = Client();
  AgentGreets();
  AgentGreets();
  EXPECT_NE(ErrorIn(client.Take()).find("hello twice"), std::string::npos);
}

TEST_F(SupervisorStartingTest, AnAgentThatCannotStartSaysWhyWithTheEndOfTheConsole) {
  ASSERT_NO_FATAL_FAILURE(Begin());
  FramePeer& client = Client();
  Guest().PrintToConsole("first\nlast line\n");
  Run();
  AgentSays(wire::ErrorFrame(0, MakeError(ErrorCode::kInternal, "no disk")));
  const std::string error = ErrorIn(client.Take());
  EXPECT_NE(error.find("the guest could not start: no disk"), std::string::npos) << error;
  EXPECT_NE(error.find("last line"), std::string::npos) << error;
  EXPECT_EQ(record_.notes.size(), 1u);
  EXPECT_TRUE(record_.notes[0].starts_with("lost: ")) << record_.notes[0];
  EXPECT_NE(sys::ReadFile(directory_.path() / "console.log", 1000)->find("first"),
            std::string::npos);
}

TEST_F(SupervisorStartingTest, AGuestThatDoesNotBootInTimeIsGivenUp) {
  config_.ttl = 10s;  // Shorter than a boot: it does not end a guest that is still starting.
  config_.boot_timeout = 120s;
  ASSERT_NO_FATAL_FAILURE(Begin());
  FramePeer& client = Client();
  Pass(119s);
  EXPECT_EQ(ErrorIn(client.Take()), "");
  EXPECT_FALSE(Guest().ended());
  Guest().PrintToConsole("first\nlast line\n");
  Guest().UseProcessor(118s);
  Run();
  Pass(1s);
  const Frames frames = client.Take();
  const std::string error = ErrorIn(frames);
  for (const char* part :
       {"did not boot within 120 s", "the fake monitor took 118 s", "last line"}) {
    EXPECT_NE(error.find(part), std::string::npos) << error;
  }
  EXPECT_NE(wire::ErrorFromFrame(*Find(frames, Type::kError)).hint.find("gets nowhere"),
            std::string::npos);
  EXPECT_TRUE(Guest().ended());
  EXPECT_EQ(ends_, 1);
}

TEST_F(SupervisorStartingTest, AGuestThatIsSlowAfterItsHelloIsGivenUpAsWell) {
  ASSERT_NO_FATAL_FAILURE(Begin());
  FramePeer& client = Client();
  AgentGreets();
  Pass(120s);
  EXPECT_NE(ErrorIn(client.Take()).find("did not boot within 120 s"), std::string::npos);
}

TEST_F(SupervisorStartingTest, AGuestThatEndsWhileItStartsTellsHow) {
  ASSERT_NO_FATAL_FAILURE(Begin());
  FramePeer& client = Client();
  vmm::FakeGuest guest = Guest();
  guest.End(vmm::MachineEnd::kCrashed, "the monitor's last words");
  Run();
  const std::string error = ErrorIn(client.Take());
  EXPECT_NE(error.find("the guest ended while it started: the fake machine crashed"),
            std::string::npos)
      << error;
  EXPECT_NE(error.find("the monitor's last words"), std::string::npos) << error;
}

TEST_F(SupervisorStartingTest, AClientThatComesAfterAFailedStartIsToldWhy) {
  vmm_.RefuseNextStart(MakeError(ErrorCode::kMissingTool, "no monitor"));
  ASSERT_NO_FATAL_FAILURE(Begin());
  EXPECT_EQ(ends_, 0);  // The creator is about to connect.
  FramePeer& client = Client();
  EXPECT_EQ(ErrorIn(client.Take()), "no monitor");
  EXPECT_EQ(record_.notes, (std::vector<std::string>{"lost: no monitor"}));
  EXPECT_EQ(ends_, 1);
  EXPECT_TRUE(Over());
}

TEST_F(SupervisorStartingTest, AFailedStartWaitsTenSecondsForAClient) {
  vmm_.RefuseNextStart(MakeError(ErrorCode::kMissingTool, "no monitor"));
  ASSERT_NO_FATAL_FAILURE(Begin());
  Pass(9s);
  EXPECT_EQ(ends_, 0);
  Pass(1s);
  EXPECT_EQ(ends_, 1);
  ASSERT_TRUE(supervisor_->failure());
  EXPECT_EQ(supervisor_->failure()->code, ErrorCode::kMissingTool);
  EXPECT_TRUE(Over());
}

TEST_F(SupervisorStartingTest, AMissingFileIsAFailedStart) {
  config_.kernel = directory_.path() / "no-kernel";
  ASSERT_NO_FATAL_FAILURE(Begin());
  EXPECT_NE(ErrorIn(Client().Take()).find("no-kernel"), std::string::npos);
}

TEST_F(SupervisorStartingTest, ANetworkThatDoesNotStartIsAFailedStart) {
  config_.network = true;
  config_.net_program = directory_.path() / "no-pyro-net";
  ASSERT_NO_FATAL_FAILURE(Begin());
  EXPECT_FALSE(ErrorIn(Client().Take()).empty());
  EXPECT_TRUE(vmm_.guests().empty());
}

// --- Templates

TEST_F(SupervisorStartingTest, WithATemplateTheGuestGoesOnAndIsSetUpAtOnce) {
  ASSERT_NO_FATAL_FAILURE(WriteTemplate());
  ASSERT_NO_FATAL_FAILURE(Begin());
  EXPECT_TRUE(vmm_.last_spec().resume_from);
  EXPECT_FALSE(vmm_.last_spec().kernel.valid());
  const Frames asked = Agent().Take();  // No hello was waited for: it was said long ago.
  ASSERT_EQ(asked.size(), 2u);
  EXPECT_EQ(asked[1].type, Type::kSetup);
  AgentIsReady();
  EXPECT_EQ(record_.notes, (std::vector<std::string>{"started by template"}));
  Pass(3s);
  EXPECT_EQ(helpers_.template_makers, 0);
  EXPECT_TRUE(HasTemplate());
}

TEST_F(SupervisorStartingTest, OnlyAGuestWithADiskOfAnotherSizeWaitsForIt) {
  ASSERT_NO_FATAL_FAILURE(WriteTemplate());
  const auto awaited = [this] {
    return wire::GuestSetup::FromFrame(Agent().Take().at(1))->data_disk_bytes;
  };
  ASSERT_NO_FATAL_FAILURE(Begin());
  EXPECT_EQ(awaited(), 0);
  std::filesystem::resize_file(directory_.path() / "data.img", 5000);
  ASSERT_NO_FATAL_FAILURE(Begin());
  EXPECT_EQ(awaited(), 5000);
  // The kernel of a guest that boots has seen no other.
  Guest().End(vmm::MachineEnd::kReset);
  Run();
  AgentGreets();
  EXPECT_EQ(awaited(), 0);
}

TEST_F(SupervisorStartingTest, WithoutATemplateOneIsMadeWhenTheGuestHasBeenIdleForAWhile) {
  config_.templ.directory = directory_.path() / "templates" / "one";
  config_.templ.key = "key";
  ASSERT_NO_FATAL_FAILURE(BeginReady());
  FramePeer& client = Client();
  client.Send(Exec(1, "busy"));
  Run();
  Pass(2s);
  EXPECT_EQ(helpers_.template_makers, 0);  // The command has the CPUs for itself.
  AgentEnds(1);
  Pass(2s);
  EXPECT_EQ(helpers_.template_makers, 1);
  Pass(10s);
  EXPECT_EQ(helpers_.template_makers, 1);
}

TEST_F(SupervisorStartingTest, AGuestThatEndsWithItsCommandHasTheTemplateMadeThen) {
  config_.templ.directory = directory_.path() / "templates" / "one";
  config_.templ.key = "key";
  config_.dies_with_first_client = true;
  ASSERT_NO_FATAL_FAILURE(Begin());
  FramePeer& client = Client();
  AgentGreets();
  AgentIsReady();
  Pass(10s);
  EXPECT_EQ(helpers_.template_makers, 0);
  HangUp(client);
  EXPECT_EQ(helpers_.template_makers, 1);
}

TEST_F(SupervisorStartingTest, AGuestThatNeverCameUpIsNoReasonToMakeATemplate) {
  config_.templ.directory = directory_.path() / "templates" / "one";
  config_.templ.key = "key";
  ASSERT_NO_FATAL_FAILURE(Begin());
  Client();
  Guest();
  AgentGreets("another");
  EXPECT_EQ(ends_, 1);
  EXPECT_EQ(helpers_.template_makers, 0);
}

TEST_F(SupervisorStartingTest, ATemplateThatTheMonitorRefusesIsRemovedOnceTheGuestHasBooted) {
  ASSERT_NO_FATAL_FAILURE(WriteTemplate("no state"));
  ASSERT_NO_FATAL_FAILURE(Begin());
  FramePeer& client = Client();
  ASSERT_EQ(vmm_.guests().size(), 1u);  // The boot.
  EXPECT_TRUE(vmm_.last_spec().kernel.valid());
  EXPECT_TRUE(HasTemplate());  // Whose fault it was is not known yet.
  AgentGreets();
  AgentIsReady();
  EXPECT_EQ(ErrorIn(client.Take()), "");
  EXPECT_FALSE(HasTemplate());
  EXPECT_EQ(record_.notes, (std::vector<std::string>{"started by boot"}));
  Pass(2s);
  EXPECT_EQ(helpers_.template_makers, 1);
}

TEST_F(SupervisorStartingTest, AGuestThatDoesNotGoOnWithinThirtySecondsBootsInstead) {
  ASSERT_NO_FATAL_FAILURE(WriteTemplate());
  ASSERT_NO_FATAL_FAILURE(Begin());
  FramePeer& client = Client();
  Pass(30s);
  ASSERT_EQ(vmm_.guests().size(), 2u);
  EXPECT_TRUE(vmm_.guests()[0].ended());
  const Frames told = client.Take();
  ASSERT_FALSE(told.empty());
  EXPECT_EQ(wire::Progress::FromFrame(told.back())->phase, "boot");
  AgentGreets();
  AgentIsReady();
  EXPECT_TRUE(Has(client.Take(), Type::kReady));
}

TEST_F(SupervisorStartingTest, ADamagedTemplateIsRemovedAndTheGuestBoots) {
  ASSERT_NO_FATAL_FAILURE(WriteTemplate());
  ASSERT_TRUE(sys::WriteFileAtomically(config_.templ.directory / "memory", "other").ok());
  ASSERT_NO_FATAL_FAILURE(BeginReady());
  EXPECT_EQ(record_.notes, (std::vector<std::string>{"started by boot"}));
  EXPECT_FALSE(std::filesystem::exists(config_.templ.directory));
}

TEST_F(SupervisorStartingTest, ANewDiskBecomesACopyOfTheTemplatesAndOfTheBlankAgainForABoot) {
  config_.blank_disk = directory_.path() / "blank";
  std::ofstream(directory_.path() / "template-disk") << "old templ";
  ASSERT_NO_FATAL_FAILURE(WriteTemplate());
  ASSERT_NO_FATAL_FAILURE(Begin());
  EXPECT_EQ(DiskText(), "old templ");
  vmm::FakeGuest guest = Guest();
  guest.End(vmm::MachineEnd::kReset);
  Run();
  ASSERT_EQ(vmm_.guests().size(), 2u);
  EXPECT_EQ(DiskText(), "old blank");
}

}  // namespace
}  // namespace pyro::supervisor
