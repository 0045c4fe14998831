// Which template a guest starts from, and when one is made.

#include "supervisor/template_use.h"

#include <chrono>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "supervisor/testing/supervisor_fixture.h"

namespace pyro::supervisor {
namespace {

using namespace std::chrono_literals;

class TemplateUseTest : public SupervisorFixture {
 protected:
  TemplateUseTest() { ConfigureTemplate(); }

  TemplateUse& Make() {
    return use_.emplace(config_, timers_, helpers_, [this] { return idle_; });
  }

  bool HasTemplate() const { return std::filesystem::exists(config_.templ.directory); }

  bool idle_ = true;
  std::optional<TemplateUse> use_;
};

TEST_F(TemplateUseTest, AGuestWithoutOneConfiguredBootsAndMakesNone) {
  config_.templ.directory.clear();
  TemplateUse& use = Make();
  EXPECT_FALSE(use.Find());
  use.GuestIsReady(false);
  Pass(10s);
  use.GuestEnded();
  EXPECT_EQ(helpers_.template_makers, 0);
}

TEST_F(TemplateUseTest, OneThatIsThereIsUsedAndStays) {
  ASSERT_NO_FATAL_FAILURE(WriteTemplate());
  TemplateUse& use = Make();
  EXPECT_TRUE(use.Find());
  EXPECT_TRUE(use.warm());
  use.GuestIsReady(false);
  Pass(10s);
  EXPECT_TRUE(HasTemplate());
  EXPECT_EQ(helpers_.template_makers, 0);
}

TEST_F(TemplateUseTest, AMissingOneIsMadeOnceTheGuestHasBeenIdleForTwoSeconds) {
  TemplateUse& use = Make();
  EXPECT_FALSE(use.Find());
  EXPECT_FALSE(use.warm());
  idle_ = false;
  use.GuestIsReady(false);
  Pass(3s);
  EXPECT_EQ(helpers_.template_makers, 0);
  idle_ = true;
  Pass(2s);
  EXPECT_EQ(helpers_.template_makers, 1);
  use.GuestEnded();
  EXPECT_EQ(helpers_.template_makers, 1);
}

TEST_F(TemplateUseTest, OneForTheNextStartIsMadeAlsoWhenThisOneIsThere) {
  ASSERT_NO_FATAL_FAILURE(WriteTemplate());
  config_.templ.next_directory = directory_.path() / "templates" / "next";
  for (const bool there : {false, true}) {
    if (there) std::filesystem::create_directory(config_.templ.next_directory);
    TemplateUse& use = Make();
    EXPECT_TRUE(use.Find());
    use.GuestIsReady(false);
    Pass(2s);
    EXPECT_EQ(helpers_.template_makers, 1);
    use.GuestEnded();
    EXPECT_EQ(helpers_.template_makers, 1);
    EXPECT_TRUE(HasTemplate());
  }
}

TEST_F(TemplateUseTest, APlaceForTheNextThatCannotBeLookedAtEndsNoGuest) {
  ASSERT_NO_FATAL_FAILURE(WriteTemplate());
  const auto loop = directory_.path() / "loop";
  std::filesystem::create_symlink(loop, loop);
  config_.templ.next_directory = loop / "next";
  TemplateUse& use = Make();
  EXPECT_TRUE(use.Find());
  EXPECT_NO_THROW(use.GuestIsReady(false));
}

TEST_F(TemplateUseTest, AGuestThatEndsWithItsCommandHasItMadeAtItsEnd) {
  TemplateUse& use = Make();
  (void)use.Find();
  use.GuestIsReady(true);
  Pass(10s);
  EXPECT_EQ(helpers_.template_makers, 0);
  use.GuestEnded();
  EXPECT_EQ(helpers_.template_makers, 1);
}

TEST_F(TemplateUseTest, AGuestThatNeverTookCommandsIsNoReasonToMakeOne) {
  TemplateUse& use = Make();
  (void)use.Find();
  use.GuestEnded();
  EXPECT_EQ(helpers_.template_makers, 0);
}

TEST_F(TemplateUseTest, OneThatNoGuestStartsFromIsRemovedAfterABootAndMadeAgain) {
  ASSERT_NO_FATAL_FAILURE(WriteTemplate());
  TemplateUse& use = Make();
  EXPECT_TRUE(use.Find());
  use.Failed();
  EXPECT_FALSE(use.warm());
  EXPECT_TRUE(HasTemplate());
  use.GuestIsReady(false);
  EXPECT_FALSE(HasTemplate());
  Pass(2s);
  EXPECT_EQ(helpers_.template_makers, 1);
}

}  // namespace
}  // namespace pyro::supervisor
